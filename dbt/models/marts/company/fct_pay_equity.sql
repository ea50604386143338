{#- Median full-time pay of each gender beside the largest group's, per job level and in all. Below
    equity_minimum_people people on either side there is no figure: it would tell a person's pay. -#}
with snapshot as (
  select * from {{ ref('fct_workforce_snapshot') }}
  where is_active_at_close and gender is not null
),

people as (
  select
    scenario_id,
    simulation_year,
    job_level,
    gender,
    cast(annual_salary as double) / cast(fte as double) as full_time_pay
  from snapshot
),

sizes as (
  select
    scenario_id,
    gender,
    count(*) as people
  from people
  group by scenario_id, gender
),

reference_groups as (
  select
    {{ within_ranges('scenario_id', [('equity_minimum_people', 1, 1000000000)]) }} as scenario_id,
    gender as reference_gender
  from sizes
  qualify row_number() over (partition by scenario_id order by people desc, gender asc) = 1
),

grouped as (
  select
    scenario_id,
    simulation_year,
    job_level,
    gender,
    count(*) as headcount,
    median(full_time_pay) as median_pay
  from people
  group by grouping sets ( -- noqa: PRS
    (scenario_id, simulation_year, job_level, gender), (scenario_id, simulation_year, gender)
  )
),

compared as (
  select
    grouped.scenario_id,
    grouped.simulation_year,
    grouped.job_level,
    grouped.gender,
    reference_groups.reference_gender,
    grouped.headcount,
    grouped.median_pay,
    reference.headcount as reference_headcount,
    reference.median_pay as reference_median_pay,
    case
      when
        grouped.headcount >= {{ var("equity_minimum_people") }}
        and reference.headcount >= {{ var("equity_minimum_people") }}
        then 1 - grouped.median_pay / reference.median_pay
    end as median_gap
  from grouped
  inner join reference_groups on grouped.scenario_id = reference_groups.scenario_id
  left join grouped as reference
    on
      grouped.scenario_id = reference.scenario_id
      and grouped.simulation_year = reference.simulation_year
      and grouped.job_level is not distinct from reference.job_level
      and reference_groups.reference_gender = reference.gender
),

-- Weighted by the group's people in the levels that have a figure. Decimals: any order, same sum.
within_levels as (
  select
    scenario_id,
    simulation_year,
    gender,
    cast(sum(cast(headcount * median_gap as decimal(38, 12))) as double)
    / cast(sum(headcount) filter (where median_gap is not null) as double) as median_gap_within_levels
  from compared
  where job_level is not null
  group by scenario_id, simulation_year, gender
),

equity as (
  select
    concat(
      compared.scenario_id, '/', compared.simulation_year, '/', coalesce(cast(compared.job_level as varchar), 'all'),
      '/', compared.gender
    ) as equity_id,
    compared.scenario_id,
    compared.simulation_year,
    compared.job_level,
    compared.gender,
    compared.reference_gender,
    compared.headcount,
    case when compared.headcount >= {{ var("equity_minimum_people") }} then compared.median_pay end as median_pay,
    compared.median_gap,
    case when compared.job_level is null then within_levels.median_gap_within_levels end as median_gap_within_levels
  from compared
  left join within_levels
    on
      compared.scenario_id = within_levels.scenario_id
      and compared.simulation_year = within_levels.simulation_year
      and compared.gender = within_levels.gender
)

select * from equity
