{#- Which department and gender a hire of a level gets: one row for each pair, with the slots of the two draws
    that fall on it. Together in one table, so that a hire finds both by one join. -#}
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
    coalesce(departments.slots, 1) as department_slots,
    coalesce(departments.first_slot, 0) as department_from,
    coalesce(departments.first_slot + departments.weight, 1) as department_below,
    genders.gender,
    coalesce(genders.slots, 1) as gender_slots,
    coalesce(genders.first_slot, 0) as gender_from,
    coalesce(genders.first_slot + genders.weight, 1) as gender_below
  from job_levels
  left join departments on true
  left join genders on job_levels.job_level = genders.job_level
)

select * from pairs
