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

slotted as (
  {{ slots_of_levels("people", "job_levels", "fte") }}
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
