{{ config(
  materialized='incremental',
  incremental_strategy='append',
  on_schema_change='fail',
  full_refresh=false,
  pre_hook="{{ forget_from_this_year() }}",
) }}

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
      as event_sequence,
    coalesce(promotions.level_after, departures.job_level) as level_before,
    cast(null as integer) as level_after,
    case
      when raises.is_after_promotion then raises.pay_after
      else coalesce(promotions.pay_after, raises.pay_after, opening_workforce.annual_salary)
    end as pay_before,
    cast(null as decimal(18, 2)) as pay_after,
    departures.status as reason,
    departures.probability
  from departures
  inner join opening_workforce on departures.employee_id = opening_workforce.employee_id
  left join promotions on departures.employee_id = promotions.employee_id
  left join raises on departures.employee_id = raises.employee_id
),

promoted as (
  select
    employee_id,
    'promotion' as event_type,
    promotion_date as event_date,
    1 + cast(is_after_raise as integer) as event_sequence,
    level_before,
    level_after,
    pay_before,
    pay_after,
    'promotion_cycle' as reason,
    probability
  from promotions
),

raised as (
  select
    employee_id,
    'raise' as event_type,
    raise_date as event_date,
    1 + cast(is_after_promotion as integer) as event_sequence,
    job_level as level_before,
    job_level as level_after,
    pay_before,
    pay_after,
    'merit_and_cola' as reason,
    cast(null as double) as probability
  from raises
),

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
