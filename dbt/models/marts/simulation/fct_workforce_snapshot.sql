{{ config(
  materialized='incremental',
  incremental_strategy='append',
  on_schema_change='fail',
  full_refresh=false,
  pre_hook="{{ forget_from_this_year() }}",
) }}

-- depends_on: {{ ref('int_adjustments') }}
with opening_workforce as (
  select * from {{ ref('int_opening_workforce') }}
),

departures as (
  select * from {{ ref('int_departures') }}
),

promotions as (
  select * from {{ ref('int_promotion_events') }}
),

raises as (
  select * from {{ ref('int_raise_events') }}
),

hiring_events as (
  select * from {{ ref('int_hiring_events') }}
),
{%- if has_adjustments() %}

adjustments as (
  select * from {{ ref('int_adjustments') }}
),
{%- endif %}

experienced as (
  select
    opening_workforce.employee_id,
    opening_workforce.key_high,
    opening_workforce.key_low,
    opening_workforce.birth_date,
    opening_workforce.hire_date,
    departures.termination_date,
    opening_workforce.department,
    coalesce(departures.status, 'continuous_active') as status,
    opening_workforce.job_level as opening_level,
    coalesce(promotions.level_after, opening_workforce.job_level) as job_level,
    promotions.promotion_date,
    raises.raise_date,
    raises.paid_merit_rate as merit_rate,
    opening_workforce.annual_salary as opening_salary,
    case
      when raises.is_after_promotion then raises.pay_after
      else coalesce(promotions.pay_after, raises.pay_after, {{ adjusted_pay() }})
    end as annual_salary,
    {{ adjusted_pay() }} as first_pay,
    coalesce(raises.lump_sum, 0) as lump_sum,
    coalesce(promotions.pay_after - promotions.pay_before, 0) as promotion_increase,
    coalesce(raises.pay_after - raises.pay_before, 0) as raise_increase,
    {{ year_start() }} as first_day,
    coalesce(departures.termination_date, {{ year_end() }}) as last_day,
    opening_workforce.known_termination_date,
    opening_workforce.fte,
    opening_workforce.gender,
    opening_workforce.age,
    opening_workforce.tenure,
    opening_workforce.age_band,
    opening_workforce.tenure_band
  from opening_workforce
  left join departures on opening_workforce.employee_id = departures.employee_id
  left join promotions on opening_workforce.employee_id = promotions.employee_id
  left join raises on opening_workforce.employee_id = raises.employee_id
  {{ join_adjustments('opening_workforce') }}
),

new_hires as (
  select
    employee_id,
    key_high,
    key_low,
    birth_date,
    hire_date,
    termination_date,
    department,
    coalesce(leave_reason, 'new_hire_active') as status,
    cast(null as integer) as opening_level,
    job_level,
    cast(null as date) as promotion_date,
    cast(null as date) as raise_date,
    cast(null as double) as merit_rate,
    cast(null as decimal(18, 2)) as opening_salary,
    annual_salary,
    annual_salary as first_pay,
    cast(0 as decimal(18, 2)) as lump_sum,
    cast(0 as decimal(18, 2)) as promotion_increase,
    cast(0 as decimal(18, 2)) as raise_increase,
    hire_date as first_day,
    coalesce(termination_date, {{ year_end() }}) as last_day,
    known_termination_date,
    fte,
    gender,
    cast(null as integer) as age,
    cast(null as integer) as tenure,
    cast(null as varchar) as age_band,
    cast(null as varchar) as tenure_band
  from hiring_events
),

people as (
  select * from experienced
  union all
  select * from new_hires
),

-- Paid compensation is the sum over periods of pay x days; written as starting pay over all
-- days plus each increase over the days from its date on, it needs no ordering of periods.
paid as (
  select
    *,
    {{ cents("first_pay") }} * (last_day - first_day + 1)
    + coalesce({{ cents("promotion_increase") }} * (last_day - promotion_date + 1), 0)
    + coalesce({{ cents("raise_increase") }} * (last_day - raise_date + 1), 0) as cent_days
  from people
),

snapshot as (
  select
    cast({{ scenario_id() }} as varchar) as scenario_id,
    cast({{ simulation_year() }} as integer) as simulation_year,
    employee_id,
    key_high,
    key_low,
    birth_date,
    hire_date,
    termination_date,
    department,
    status,
    termination_date is null as is_active_at_close,
    known_termination_date,
    fte,
    gender,
    opening_level,
    job_level,
    promotion_date,
    raise_date,
    merit_rate,
    opening_salary,
    annual_salary,
    -- Whole cents, half-up: (2 x numerator + denominator) // (2 x denominator).
    {{ dollars(
      "((2 * cent_days + " ~ days_in_year() ~ ") // (2 * " ~ days_in_year() ~ ") + " ~ cents("lump_sum") ~ ")"
    ) }}
      as paid_compensation,
    cast(lump_sum as decimal(18, 2)) as lump_sum,
    cast(last_day - first_day + 1 as integer) as days_employed,
    age,
    tenure,
    age_band,
    tenure_band
  from paid
)

select * from snapshot
