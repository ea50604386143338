{#- New hires of a level have the genders of its people in the census, or of all people where the level has
    none; nobody has one when the census names none. Whole-number weights: people. -#}
with people as (
  select * from {{ ref('stg_census') }}
  where is_active_at_start and gender is not null
),

job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

by_level as (
  select
    job_level,
    gender,
    count(*) as weight
  from people
  group by job_level, gender
),

everyone as (
  select
    gender,
    count(*) as weight
  from people
  group by gender
),

weighted as (
  select * from by_level
  union all
  select
    job_levels.job_level,
    everyone.gender,
    everyone.weight
  from job_levels
  cross join everyone
  where job_levels.job_level not in (select by_level.job_level from by_level)
),

numbered as (
  select
    job_level,
    gender,
    cast(weight as bigint) as weight,
    cast(sum(weight) over (partition by job_level order by gender) - weight as bigint) as first_slot,
    cast(sum(weight) over (partition by job_level) as bigint) as slots
  from weighted
)

select * from numbered
