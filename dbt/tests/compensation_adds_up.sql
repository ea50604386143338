-- Totals are the sums of their levels and of the people; the horizon is the sum of its years.
with people as (
  select
    scenario_id,
    simulation_year,
    sum(paid_compensation) as paid_compensation
  from {{ ref('fct_workforce_snapshot') }}
  group by scenario_id, simulation_year
),

totals as (
  select
    scenario_id,
    simulation_year,
    sum(paid_compensation) filter (where job_level is null) as total,
    sum(paid_compensation) filter (where job_level is not null) as sum_of_levels
  from {{ ref('fct_compensation_growth') }}
  group by scenario_id, simulation_year
),

all_years as (
  select
    scenario_id,
    cast(sum(paid_compensation) as double) as paid_compensation
  from people
  group by scenario_id
),

horizon as (
  select
    scenario_id,
    value
  from {{ ref('fct_optimization_metrics') }}
  where metric = 'total_compensation_cost' and period = 'horizon'
)

select 'levels' as what
from totals
inner join people using (scenario_id, simulation_year)
where totals.total <> totals.sum_of_levels or totals.total <> people.paid_compensation
union all
select 'horizon' as what
from horizon
inner join all_years using (scenario_id)
where horizon.value <> all_years.paid_compensation
