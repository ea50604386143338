-- depends_on: {{ ref('int_accepted_offers') }}, {{ ref('int_retirements') }}
with opening_workforce as (
  select workforce.* from {{ ref('int_opening_workforce') }} as workforce
  {%- if has_retirement() %}
  -- Who retires has no other hazard.
  where workforce.employee_id not in (select retirements.employee_id from {{ ref('int_retirements') }} as retirements)
  {%- endif %}
),

{% if is_turnover() -%}
-- Turnover counts every leaver of the year over the mean of opening and target: T of the opening
-- people, and of the hires h / (1 - h) for each net hire, net = target - (opening - T) - joiners.
counted as (
  select
    count(*) {{ and_retired() }} as opening,
    count(*) filter (where known_termination_date <= {{ year_end() }}) {{ and_retired() }} as known_leavers,
    count(*) filter (where known_termination_date is null and is_hired_last_year) as recent,
    count(*) filter (where known_termination_date is null and not is_hired_last_year) as experienced
  from opening_workforce
),

joiners as (
  select
    count(*) - count(termination_date) as staying,
    count(termination_date) as leaving
  from {{ ref('int_accepted_offers') }}
),

rates as (
  select
    {{ new_hire_exit_rate() }} as exit_rate,
    {{ lever('total_termination_rate') }} as turnover,
    {{ lever('target_growth_rate') }} as growth
),

targeted as (
  select
    counted.*,
    joiners.staying,
    joiners.leaving,
    rates.exit_rate,
    rates.turnover,
    round(round(counted.opening * (1 + rates.growth), 6)) as target
  from counted
  cross join joiners
  cross join rates
),

wanted as (
  select
    *,
    turnover * (opening + target) / 2 - leaving as leavers
  from targeted
),

hiring as (
  select
    *,
    (leavers - exit_rate / (1 - exit_rate) * (target - opening - staying)) * (1 - exit_rate) as while_hiring
  from wanted
),

-- Without hires every leaver is of the opening people.
opening_leavers as (
  select
    *,
    case when target - opening + while_hiring > staying then while_hiring else leavers end as of_opening
  from hiring
),

experienced_rates as ( -- noqa: ST03
  select
    case
      when of_opening - known_leavers - exit_rate * recent < 0
        then error(
          'total_termination_rate as turnover must be more than what hires of this and last year and known leavers '
          || 'alone come to in {{ simulation_year() }}, got ' || turnover
          || '; raise it or lower new_hire_termination_rate'
        )
      when of_opening - known_leavers - exit_rate * recent >= 0.99 * greatest(experienced, 1)
        then error('total_termination_rate as turnover would take nearly everyone in {{ simulation_year() }}; lower it')
      else (of_opening - known_leavers - exit_rate * recent) / greatest(experienced, 1)
    end as experienced_rate
  from opening_leavers
),

{% endif -%}
-- People with a known last day have no hazard. Few distinct multipliers exist,
-- so k is solved over groups and not over people.
multiplier_groups as (
  select
    is_hired_last_year,
    termination_multiplier,
    count(*) as people
  from opening_workforce
  where known_termination_date is null
  group by all
),

rated as (
  select
    *,
    case
      when is_hired_last_year then {{ new_hire_exit_rate() }}
      else {{ experienced_exit_rate() }}
    end as termination_rate
  from multiplier_groups
),

-- If the people above a group are certain to leave (p capped at 1), the rest of the wanted
-- departures is shared out among the group and those below, in proportion to multipliers.
trials as (
  select
    *,
    sum(people) over (partition by is_hired_last_year) as headcount,
    (
      termination_rate * sum(people) over (partition by is_hired_last_year)
      - coalesce(sum(people) over (
        partition by is_hired_last_year order by termination_multiplier desc
        rows between unbounded preceding and 1 preceding
      ), 0)
    )
    / cast(sum(people * termination_multiplier) over (
      partition by is_hired_last_year order by termination_multiplier desc
      rows between current row and unbounded following
    ) as double) as trial_factor
  from rated
),

-- The first trial that leaves its own group uncapped is the solution.
solved as (
  select
    is_hired_last_year,
    cast(any_value(headcount) as bigint) as headcount,
    any_value(termination_rate) as termination_rate,
    arg_max(trial_factor, termination_multiplier) filter (
      where termination_multiplier > 0 and trial_factor * termination_multiplier <= 1
    ) as calibration_factor
  from trials
  group by is_hired_last_year
),

-- Without a solution nobody could be said to stay: least(1, null) is 1.
reached as (
  select
    is_hired_last_year,
    headcount,
    termination_rate,
    case
      when termination_rate = 0 then 0
      when calibration_factor is null
        then error(
          'the multipliers of leaving are 0 for so many of the ' || headcount || ' people hired '
          || case when is_hired_last_year then 'last year' else 'before last year' end
          || ' that their rate of ' || termination_rate || ' cannot be reached in {{ simulation_year() }}; see '
          || '{{ seed_file("config_age_bands") }}, {{ seed_file("config_tenure_bands") }}, '
          || '{{ seed_file("config_hazards") }} and {{ seed_file("config_level_hazards") }}'
        )
      else calibration_factor
    end as calibration_factor
  from solved
)

select * from reached
