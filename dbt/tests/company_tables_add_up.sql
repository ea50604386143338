-- Payroll and headcount walk from opening to close, months and employment costs add up to the pay, and the
-- adjustments are those of the events: to the cent and the head.
with growth as (
  select * from {{ ref('fct_compensation_growth') }}
),

walk as (
  select * from {{ ref('fct_cost_walk') }}
),

monthly as (
  select
    scenario_id,
    simulation_year,
    sum(paid_compensation) as paid_compensation
  from {{ ref('fct_monthly_cost') }}
  group by scenario_id, simulation_year
),

costs as (
  select
    scenario_id,
    simulation_year,
    sum(base_pay + lump_sum) as paid_compensation,
    sum(loaded_cost - base_pay - lump_sum - bonus - benefits - employer_cost - hiring_cost - severance) as unexplained
  from {{ ref('fct_employment_cost') }}
  group by scenario_id, simulation_year
),

bridge as (
  select * from {{ ref('fct_headcount_bridge') }}
)

select 'walk ' || walk_id as what
from walk
where opening + leavers + hires + adjustments + promotions + raises <> closing
union all
select 'payroll ' || walk.walk_id as what
from walk
inner join growth using (scenario_id, simulation_year)
where
  growth.job_level is null
  and walk.department is null
  and (walk.opening <> growth.payroll_opening or walk.closing <> growth.payroll_closing)
union all
select 'bridge ' || bridge_id as what
from bridge
where
  opening + hires - hazard_leavers - retirements - known_leavers - new_hire_leavers - reductions + promotions_in
  - promotions_out
  <> closing
union all
select 'heads ' || bridge.bridge_id as what
from bridge
inner join growth
  on
    bridge.scenario_id = growth.scenario_id
    and bridge.simulation_year = growth.simulation_year
    and bridge.job_level is not distinct from growth.job_level
where bridge.opening <> growth.headcount_opening or bridge.closing <> growth.headcount_closing
union all
select 'months ' || growth.growth_id as what
from growth
left join monthly using (scenario_id, simulation_year)
left join costs using (scenario_id, simulation_year)
where
  growth.job_level is null
  and (
    growth.paid_compensation is distinct from monthly.paid_compensation
    or growth.paid_compensation is distinct from costs.paid_compensation
    or costs.unexplained <> 0
  )
