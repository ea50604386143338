{#- Ages of hires by job level, for new_hire_ages: level; complete for every level then, or refused. -#}
with lottery as (
  {{ lottery(ref('config_new_hire_level_ages'), ["age"], "weight", partition="job_level") }}
),

job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

unread as (
  select
    '{{ seed_file("config_new_hire_level_ages") }} has a row for job_level '
    || coalesce(cast(job_level as varchar), '(empty)') || ', which config_job_levels has not' as problem
  from {{ ref('config_new_hire_level_ages') }}
  where job_level is null or job_level not in (select job_levels.job_level from job_levels)
),

checked as (
  select
    case
      when {{ all_problems('unread') }} is not null then error({{ all_problems('unread') }})
      when lottery.age is null
        then error('{{ seed_file("config_new_hire_level_ages") }} has no row for job_level ' || job_levels.job_level)
      when lottery.age not between {{ var("census_age_at_hire_min") }} and {{ var("census_age_at_hire_max") }}
        then error(
          '{{ seed_file("config_new_hire_level_ages") }}: age must be from {{ var("census_age_at_hire_min") }} to '
          || '{{ var("census_age_at_hire_max") }} (census_age_at_hire_min, _max), got ' || lottery.age
          || ' at job_level ' || job_levels.job_level
        )
      else job_levels.job_level
    end as job_level,
    lottery.age,
    lottery.slot
  from job_levels
  {{ "left" if choice("new_hire_ages", ["company", "level"]) == "'level'" else "inner" }} join lottery
    on job_levels.job_level = lottery.job_level
)

select * from checked
