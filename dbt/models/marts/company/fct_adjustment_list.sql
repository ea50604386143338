{#- The people who get an adjustment, why and how much: the list that goes to their managers. -#}
with events as (
  select * from {{ ref('fct_yearly_events') }}
  where event_type = 'adjustment'
),

snapshot as (
  select * from {{ ref('fct_workforce_snapshot') }}
),

pay_bands as (
  select * from {{ ref('fct_salary_structure') }}
),

list as (
  select
    events.event_id as adjustment_id,
    events.scenario_id,
    events.simulation_year,
    events.employee_id,
    events.event_date as adjustment_date,
    events.level_before as job_level,
    snapshot.department,
    snapshot.gender,
    snapshot.fte,
    pay_bands.min_pay,
    pay_bands.mid_pay,
    events.pay_before,
    events.pay_after,
    cast(events.pay_after - events.pay_before as decimal(18, 2)) as amount,
    events.reason
  from events
  inner join snapshot
    on
      events.scenario_id = snapshot.scenario_id
      and events.simulation_year = snapshot.simulation_year
      and events.employee_id = snapshot.employee_id
  inner join pay_bands
    on
      events.scenario_id = pay_bands.scenario_id
      and events.simulation_year = pay_bands.simulation_year
      and events.level_before = pay_bands.job_level
)

select * from list
