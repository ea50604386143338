{#- How annual payroll goes from January 1 to the close, to the cent. The linter's grammar lacks
    `grouping sets`. -#}
with snapshot as (
  select * from {{ ref('fct_workforce_snapshot') }}
),

increases as (
  select
    scenario_id,
    simulation_year,
    employee_id,
    coalesce(sum(pay_after - pay_before) filter (where event_type = 'adjustment'), 0) as adjustments,
    coalesce(sum(pay_after - pay_before) filter (where event_type = 'promotion'), 0) as promotions,
    coalesce(sum(pay_after - pay_before) filter (where event_type = 'raise'), 0) as raises
  from {{ ref('fct_yearly_events') }}
  where event_type in ('adjustment', 'promotion', 'raise')
  group by scenario_id, simulation_year, employee_id
),

people as (
  select
    snapshot.scenario_id,
    snapshot.simulation_year,
    coalesce(snapshot.department, '(none)') as department,
    coalesce(snapshot.opening_salary, 0) as opening,
    -- Who leaves takes the pay of January 1 along; raises before leaving are in neither payroll.
    case when not snapshot.is_active_at_close then -coalesce(snapshot.opening_salary, 0) else 0 end as leavers,
    case
      when snapshot.opening_level is null and snapshot.is_active_at_close then snapshot.annual_salary
      else 0
    end as hires,
    case when snapshot.is_active_at_close then coalesce(increases.adjustments, 0) else 0 end as adjustments,
    case when snapshot.is_active_at_close then coalesce(increases.promotions, 0) else 0 end as promotions,
    case when snapshot.is_active_at_close then coalesce(increases.raises, 0) else 0 end as raises,
    case when snapshot.is_active_at_close then snapshot.annual_salary else 0 end as closing
  from snapshot
  left join increases
    on
      snapshot.scenario_id = increases.scenario_id
      and snapshot.simulation_year = increases.simulation_year
      and snapshot.employee_id = increases.employee_id
),

walk as (
  select
    concat(scenario_id, '/', simulation_year, '/', coalesce(department, 'all')) as walk_id,
    scenario_id,
    simulation_year,
    department,
    cast(sum(opening) as decimal(38, 2)) as opening,
    cast(sum(leavers) as decimal(38, 2)) as leavers,
    cast(sum(hires) as decimal(38, 2)) as hires,
    cast(sum(adjustments) as decimal(38, 2)) as adjustments,
    cast(sum(promotions) as decimal(38, 2)) as promotions,
    cast(sum(raises) as decimal(38, 2)) as raises,
    cast(sum(closing) as decimal(38, 2)) as closing
  from people
  group by grouping sets ((scenario_id, simulation_year, department), (scenario_id, simulation_year)) -- noqa: PRS
)

select * from walk
