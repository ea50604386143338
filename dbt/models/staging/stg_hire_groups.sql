{#- Which department and gender a hire of a level gets: one row for each pair, with the range of the two draws
    that falls on it. Together in one table, so that a hire finds both by one join. -#}
with job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

departments as (
  select * from {{ ref('stg_departments') }}
),

genders as (
  select * from {{ ref('stg_hire_genders') }}
),

pairs as (
  select
    job_levels.job_level,
    departments.department,
    coalesce({{ least_draw("departments.first_slot", "departments.slots") }}, 0) as department_from,
    coalesce({{ least_draw("departments.first_slot + departments.weight", "departments.slots") }}, 1)
      as department_below,
    genders.gender,
    coalesce({{ least_draw("genders.first_slot", "genders.slots") }}, 0) as gender_from,
    coalesce({{ least_draw("genders.first_slot + genders.weight", "genders.slots") }}, 1) as gender_below
  from job_levels
  left join departments on true
  left join genders on job_levels.job_level = genders.job_level
)

select * from pairs
