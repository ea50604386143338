{#- How headcount goes from January 1 to the close, per job level and in all. -#}
with snapshot as (
  select * from {{ ref('fct_workforce_snapshot') }}
),

-- A person is counted in at the level of January 1 and out at the level of the close.
moves as (
  select
    scenario_id,
    simulation_year,
    opening_level as job_level,
    1 as opening,
    0 as hires,
    0 as promotions_in,
    cast(promotion_date is not null as integer) as promotions_out,
    cast(null as varchar) as status,
    0 as closing
  from snapshot
  where opening_level is not null
  union all
  select
    scenario_id,
    simulation_year,
    job_level,
    0 as opening,
    cast(opening_level is null as integer) as hires,
    cast(promotion_date is not null as integer) as promotions_in,
    0 as promotions_out,
    case when not is_active_at_close then status end as status,
    cast(is_active_at_close as integer) as closing
  from snapshot
),

bridge as (
  select
    concat(scenario_id, '/', simulation_year, '/', coalesce(cast(job_level as varchar), 'all')) as bridge_id,
    scenario_id,
    simulation_year,
    job_level,
    cast(sum(opening) as bigint) as opening,
    cast(sum(hires) as bigint) as hires,
    count(*) filter (where status in ('experienced_termination', 'dismissal')) as hazard_leavers,
    count(*) filter (where status = 'retirement') as retirements,
    count(*) filter (where status = 'known_termination') as known_leavers,
    count(*) filter (where status in ('new_hire_termination', 'new_hire_dismissal')) as new_hire_leavers,
    count(*) filter (where status = 'reduction') as reductions,
    cast(sum(promotions_in) as bigint) as promotions_in,
    cast(sum(promotions_out) as bigint) as promotions_out,
    cast(sum(closing) as bigint) as closing
  from moves
  group by grouping sets ((scenario_id, simulation_year, job_level), (scenario_id, simulation_year)) -- noqa: PRS
)

select * from bridge
