{#- Ages of hires by job level, for new_hire_ages: level; complete for every level then, or refused. -#}
with lottery as (
  {{ lottery(ref('config_new_hire_level_ages'), ["age"], "weight", partition="job_level") }}
),

job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

checked as (
  select
    case
      when lottery.age is null
        then error('{{ seed_file("config_new_hire_level_ages") }} has no row for job_level ' || job_levels.job_level)
      else job_levels.job_level
    end as job_level,
    lottery.age,
    lottery.slot
  from job_levels
  {{ "left" if choice("new_hire_ages", ["company", "level"]) == "'level'" else "inner" }} join lottery
    on job_levels.job_level = lottery.job_level
)

select * from checked
