{{ config(
  materialized='incremental',
  incremental_strategy='append',
  on_schema_change='fail',
  full_refresh=false,
  pre_hook="{{ forget_from_this_year() }}",
) }}

-- depends_on: {{ ref('int_adjustments') }}
with hiring_events as (
  select * from {{ ref('int_hiring_events') }}
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

opening_workforce as (
  select * from {{ ref('int_opening_workforce') }}
),
{%- if has_adjustments() %}

adjustments as (
  select * from {{ ref('int_adjustments') }}
),
{%- endif %}

hires as (
  select
    employee_id,
    'hire' as event_type,
    hire_date as event_date,
    1 as event_sequence,
    cast(null as integer) as level_before,
    job_level as level_after,
    cast(null as decimal(18, 2)) as pay_before,
    annual_salary as pay_after,
    reason,
    cast(null as double) as probability
  from hiring_events
),

new_hire_terminations as (
  select
    employee_id,
    'termination' as event_type,
    termination_date as event_date,
    2 as event_sequence,
    job_level as level_before,
    cast(null as integer) as level_after,
    annual_salary as pay_before,
    cast(null as decimal(18, 2)) as pay_after,
    leave_reason as reason,
    cast(null as double) as probability
  from hiring_events
  where termination_date is not null
),

departed as (
  select
    departures.employee_id,
    'termination' as event_type,
    departures.termination_date as event_date,
    1 + cast(promotions.employee_id is not null as integer) + cast(raises.employee_id is not null as integer)
    {{ after_adjustment() }} as event_sequence,
    coalesce(promotions.level_after, departures.job_level) as level_before,
    cast(null as integer) as level_after,
    case
      when raises.is_after_promotion then raises.pay_after
      else coalesce(promotions.pay_after, raises.pay_after, {{ adjusted_pay() }})
    end as pay_before,
    cast(null as decimal(18, 2)) as pay_after,
    departures.status as reason,
    departures.probability
  from departures
  inner join opening_workforce on departures.employee_id = opening_workforce.employee_id
  left join promotions on departures.employee_id = promotions.employee_id
  left join raises on departures.employee_id = raises.employee_id
  {{ join_adjustments('departures') }}
),

promoted as (
  select
    promotions.employee_id,
    'promotion' as event_type,
    promotions.promotion_date as event_date,
    1 + cast(promotions.is_after_raise as integer) {{ after_adjustment() }} as event_sequence,
    promotions.level_before,
    promotions.level_after,
    promotions.pay_before,
    promotions.pay_after,
    'promotion_cycle' as reason,
    promotions.probability
  from promotions
  {{ join_adjustments('promotions') }}
),

raised as (
  select
    raises.employee_id,
    'raise' as event_type,
    raises.raise_date as event_date,
    1 + cast(raises.is_after_promotion as integer) {{ after_adjustment() }} as event_sequence,
    raises.job_level as level_before,
    raises.job_level as level_after,
    raises.pay_before,
    raises.pay_after,
    'merit_and_cola' as reason,
    cast(null as double) as probability
  from raises
  {{ join_adjustments('raises') }}
),
{%- if has_adjustments() %}

adjusted as (
  select
    employee_id,
    'adjustment' as event_type,
    adjustment_date as event_date,
    1 as event_sequence,
    job_level as level_before,
    job_level as level_after,
    pay_before,
    pay_after,
    case
      when equity_adjustment = 0 then 'band_minimum'
      when minimum_adjustment = 0 then 'equity_pool'
      else 'band_minimum_and_equity_pool'
    end as reason,
    cast(null as double) as probability
  from adjustments
),
{%- endif %}

all_events as (
  select * from hires
  union all
  select * from new_hire_terminations
  union all
  select * from departed
  union all
  select * from promoted
  union all
  select * from raised
  {%- if has_adjustments() %}
  union all
  select * from adjusted
  {%- endif %}
),

identified as (
  select
    concat({{ scenario_id() }}, '/', {{ simulation_year() }}, '/', employee_id, '/', event_sequence) as event_id,
    cast({{ scenario_id() }} as varchar) as scenario_id,
    cast({{ simulation_year() }} as integer) as simulation_year,
    employee_id,
    event_type,
    event_date,
    event_sequence,
    level_before,
    level_after,
    pay_before,
    pay_after,
    reason,
    probability
  from all_events
)

select * from identified
