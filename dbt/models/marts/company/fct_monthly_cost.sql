{#- Pay by month and department. A person's months are differences of the pay up to their ends, rounded
    each, so they add up to the year's pay to the cent. -#}
with snapshot as (
  select * from {{ ref('fct_workforce_snapshot') }}
),

events as (
  select * from {{ ref('fct_yearly_events') }}
),

employed as (
  select
    scenario_id,
    simulation_year,
    employee_id,
    coalesce(department, '(none)') as department,
    greatest(hire_date, make_date(simulation_year, 1, 1)) as first_day,
    coalesce(termination_date, make_date(simulation_year, 12, 31)) as last_day,
    {{ cents("coalesce(opening_salary, annual_salary)") }} as first_cents,
    {{ cents("lump_sum") }} as lump_cents,
    raise_date,
    make_date(simulation_year, 12, 31) - make_date(simulation_year, 1, 1) + 1 as days_in_year
  from snapshot
),

-- Pay from the first day on, and each increase from its day on.
rates as (
  select
    employed.*,
    employed.first_day as valid_from,
    employed.first_cents as cents
  from employed
  union all
  select
    employed.*,
    events.event_date as valid_from,
    {{ cents("events.pay_after - events.pay_before") }} as cents
  from employed
  inner join events
    on
      employed.scenario_id = events.scenario_id
      and employed.simulation_year = events.simulation_year
      and employed.employee_id = events.employee_id
      and events.event_type in ('adjustment', 'promotion', 'raise')
),

months as (
  select cast(unnest(range(1, 13)) as integer) as month_number
),

until as (
  select
    rates.scenario_id,
    rates.simulation_year,
    rates.employee_id,
    rates.department,
    months.month_number,
    any_value(rates.days_in_year) as days_in_year,
    any_value(case when month(rates.raise_date) = months.month_number then rates.lump_cents else 0 end) as lump_cents,
    sum(
      rates.cents * greatest(
        0,
        least(last_day(make_date(rates.simulation_year, months.month_number, 1)), rates.last_day) - rates.valid_from + 1
      )
    ) as cent_days
  from rates
  cross join months
  group by rates.scenario_id, rates.simulation_year, rates.employee_id, rates.department, months.month_number
),

rounded as (
  select
    *,
    -- Whole cents, half-up, as the year's pay is.
    cast((2 * cent_days + days_in_year) // (2 * days_in_year) as bigint) as cents_until
  from until
),

monthly as (
  select
    *,
    cents_until - coalesce(lag(cents_until) over (
      partition by scenario_id, simulation_year, employee_id order by month_number
    ), 0) as month_cents
  from rounded
),

costs as (
  select
    concat(scenario_id, '/', simulation_year, '/', month_number, '/', department) as cost_id,
    scenario_id,
    simulation_year,
    month_number,
    department,
    count(*) filter (where month_cents > 0) as people_paid,
    cast(sum({{ dollars("month_cents") }}) as decimal(38, 2)) as base_pay,
    cast(sum({{ dollars("lump_cents") }}) as decimal(38, 2)) as lump_sum,
    cast(sum({{ dollars("(month_cents + lump_cents)") }}) as decimal(38, 2)) as paid_compensation
  from monthly
  group by scenario_id, simulation_year, month_number, department
)

select * from costs
