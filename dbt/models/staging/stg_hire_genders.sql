{#- New hires of a level have the genders of its people in the census, or of all people where the level has
    none; nobody has one when the census names none. Whole-number weights: people. -#}
with people as (
  select * from {{ ref('stg_census') }}
  where is_active_at_start and gender is not null
),

job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

slotted as (
  {{ slots_of_levels("people", "job_levels", "gender") }}
)

select * from slotted
