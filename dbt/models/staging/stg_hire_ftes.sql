{#- New hires of a level work the shares of a full-time job that its people in the census do, or all people where the
    level has none: one row for each share, with the range of the draw that falls on it. -#}
with people as (
  select
    job_level,
    cast(coalesce(fte, 1) as decimal(6, 4)) as fte
  from {{ ref('stg_census') }}
  where is_active_at_start
),

job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

by_level as (
  select
    job_level,
    fte,
    count(*) as weight
  from people
  group by job_level, fte
),

everyone as (
  select
    fte,
    count(*) as weight
  from people
  group by fte
),

weighted as (
  select * from by_level
  union all
  select
    job_levels.job_level,
    everyone.fte,
    everyone.weight
  from job_levels
  cross join everyone
  where job_levels.job_level not in (select by_level.job_level from by_level)
),

slotted as (
  select
    job_level,
    fte,
    cast(weight as bigint) as weight,
    cast(sum(weight) over (partition by job_level order by fte) - weight as bigint) as first_slot,
    cast(sum(weight) over (partition by job_level) as bigint) as slots
  from weighted
),

ranged as (
  select
    job_level,
    fte,
    {{ least_draw("first_slot", "slots") }} as fte_from,
    {{ least_draw("first_slot + weight", "slots") }} as fte_below
  from slotted
)

select * from ranged
