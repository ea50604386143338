with opening_workforce as (
  select * from {{ ref('int_opening_workforce') }}
),

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
      when is_hired_last_year then {{ lever('new_hire_termination_rate') }}
      else {{ lever('total_termination_rate') }}
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
      where trial_factor * termination_multiplier <= 1
    ) as calibration_factor
  from trials
  group by is_hired_last_year
)

select * from solved
