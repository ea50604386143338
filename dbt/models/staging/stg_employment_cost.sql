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
  union all
  {{ range_problems('config_employment_cost', 'job_level', [
    ('bonus_target', 0, 5), ('benefit_load', 0, 2), ('employer_rate', 0, 1), ('hiring_cost_rate', 0, 2),
    ('severance_weeks_per_year', 0, 52), ('severance_weeks_min', 0, 520), ('severance_weeks_max', 0, 520),
  ]) }}
),

checked as (
  select
    case
      when found.problem is not null then error(found.problem)
      when rates.severance_weeks_max < rates.severance_weeks_min
        then error(
          '{{ seed_file("config_employment_cost") }}: severance_weeks_max is below severance_weeks_min at job_level '
          || rates.job_level
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
