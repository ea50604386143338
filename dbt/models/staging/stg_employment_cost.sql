with rates as (
  select * from {{ ref('config_employment_cost') }}
),

problems as (
  {{ level_problems(
    'config_employment_cost',
    [
      'bonus_target', 'benefit_load', 'employer_rate', 'hiring_cost_rate', 'severance_weeks_per_year',
      'severance_weeks_min', 'severance_weeks_max',
    ]
  ) }}
),

checked as (
  select
    case
      when found.problem is not null then error(found.problem)
      when
        least(
          rates.bonus_target, rates.benefit_load, rates.employer_rate, rates.hiring_cost_rate,
          rates.severance_weeks_per_year, rates.severance_weeks_min
        ) < 0
        or rates.severance_weeks_max < rates.severance_weeks_min
        then error(
          '{{ seed_file("config_employment_cost") }}: no rate is below 0 and severance_weeks_max is not below '
          || 'severance_weeks_min, see job_level ' || rates.job_level
        )
      else rates.job_level
    end as job_level,
    rates.bonus_target,
    rates.benefit_load,
    rates.employer_rate,
    rates.hiring_cost_rate,
    rates.severance_weeks_per_year,
    rates.severance_weeks_min,
    rates.severance_weeks_max
  from (select {{ all_problems('problems') }} as problem) as found
  left join rates on true
)

select * from checked
