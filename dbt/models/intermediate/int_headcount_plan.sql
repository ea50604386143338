with opening as (
  select count(*) as opening_headcount from {{ ref('int_opening_workforce') }}
),

attrition as (
  select count(*) as terminations from {{ ref('int_termination_events') }}
),

-- Who leaves again in the year does not count at the close.
joiners as (
  select
    count(*) as known_joiners,
    count(termination_date) as known_joiners_leaving
  from {{ ref('int_accepted_offers') }}
),

rates as (
  select
    {{ lever('target_growth_rate') }} as target_growth_rate,
    {{ new_hire_exit_rate() }} as new_hire_termination_rate
),

targeted as (
  select
    case
      when opening.opening_headcount = 0
        then error(
          'Nobody is employed on January 1, {{ simulation_year() }} in scenario ' || {{ scenario_id() }}
          || '. Run the years in order, from start_year {{ var("start_year") }} on, with the same scenario_id'
        )
      else opening.opening_headcount
    end as opening_headcount,
    attrition.terminations,
    joiners.known_joiners,
    joiners.known_joiners_leaving,
    -- The inner rounding removes binary noise such as 100 * 1.1 = 110.00000000000001.
    cast(round(round(opening.opening_headcount * (1 + rates.target_growth_rate), 6)) as bigint) as target_headcount,
    rates.new_hire_termination_rate
  from opening
  cross join attrition
  cross join joiners
  cross join rates
),

netted as (
  select
    *,
    target_headcount - (opening_headcount - terminations) - (known_joiners - known_joiners_leaving) as net_change
  from targeted
),

planned as (
  select
    *,
    case
      when net_change > 0
        then cast(ceil(round(net_change / (1 - new_hire_termination_rate), 6)) as bigint)
      else 0
    end as hires,
    case when net_change < 0 then -net_change else 0 end as reductions
  from netted
),

checked as (
  select
    opening_headcount,
    terminations,
    known_joiners,
    known_joiners_leaving,
    case
      when target_headcount < 1
        then error('target_growth_rate leaves nobody employed in {{ simulation_year() }}; raise it')
      else target_headcount
    end as target_headcount,
    net_change,
    case
      when not ({{ var("max_hire_share") }} > 0 and {{ var("max_hire_share") }} <= 1)
        then error('max_hire_share must be above 0 and at most 1, got ' || {{ var("max_hire_share") }})
      when hires > opening_headcount * cast({{ var("max_hire_share") }} as double)
        then error(
          'The headcount plan of {{ simulation_year() }} needs ' || hires || ' hires for ' || opening_headcount
          || ' people, more than max_hire_share = {{ var("max_hire_share") }} allows.'
          || ' Lower target_growth_rate, total_termination_rate or new_hire_termination_rate'
        )
      else hires
    end as hires,
    case when net_change > 0 then hires - net_change else 0 end as new_hire_terminations,
    reductions
  from planned
)

select * from checked
