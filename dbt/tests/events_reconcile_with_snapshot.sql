-- Every person's events explain the change of level, pay and employment in the snapshot, and
-- every such change has its event.
with events as (
  select
    scenario_id,
    simulation_year,
    employee_id,
    count(*) filter (where event_type = 'hire') as hires,
    max(event_date) filter (where event_type = 'termination') as termination_date,
    max(event_date) filter (where event_type = 'promotion') as promotion_date,
    max(event_date) filter (where event_type = 'raise') as raise_date,
    max(level_after) filter (where event_type = 'promotion') as level_after_promotion,
    sum(pay_after - pay_before) as increase,
    max(pay_after) filter (where event_type = 'hire') as hire_pay
  from {{ ref('fct_yearly_events') }}
  group by scenario_id, simulation_year, employee_id
)

select
  coalesce(snapshot.employee_id, events.employee_id) as employee_id,
  coalesce(snapshot.simulation_year, events.simulation_year) as simulation_year,
  snapshot.status,
  snapshot.opening_salary,
  snapshot.annual_salary,
  events.increase
from {{ ref('fct_workforce_snapshot') }} as snapshot
full outer join events
  on
    snapshot.scenario_id = events.scenario_id
    and snapshot.simulation_year = events.simulation_year
    and snapshot.employee_id = events.employee_id
where
  snapshot.employee_id is null
  or coalesce(events.hires, 0) <> (snapshot.opening_level is null)::integer
  or snapshot.termination_date is distinct from events.termination_date
  or snapshot.promotion_date is distinct from events.promotion_date
  or snapshot.raise_date is distinct from events.raise_date
  or snapshot.job_level <> coalesce(events.level_after_promotion, snapshot.opening_level, snapshot.job_level)
  or snapshot.annual_salary <> coalesce(snapshot.opening_salary, events.hire_pay) + coalesce(events.increase, 0)
