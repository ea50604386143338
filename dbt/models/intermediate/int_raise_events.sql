with opening_workforce as (
  select * from {{ ref('int_opening_workforce') }}
),

departures as (
  select * from {{ ref('int_departures') }}
),

promotions as (
  select * from {{ ref('int_promotion_decisions') }}
),

raise_months as (
  select * from {{ ref('stg_raise_timing') }}
  where raise_timing = {{ raise_timing() }}
),

merit_rates as (
  select * from {{ level_levers('merit_base') }}
),

cola_rates as (
  select * from {{ level_levers('cola_rate') }}
),

served as (
  select
    employee_id,
    job_level,
    annual_salary,
    hire_date,
    {{ slot(draw("raise_month")) }} as month_slot
  from opening_workforce
  where tenure >= {{ var("raise_minimum_tenure") }}
),

dated as (
  select
    served.employee_id,
    served.job_level,
    served.annual_salary,
    case
      when {{ raise_timing() }} = 'anniversary'
        then make_date(
          {{ simulation_year() }},
          month(served.hire_date),
          -- February 29 has its anniversary on the last day of February.
          least(day(served.hire_date), day(last_day(make_date({{ simulation_year() }}, month(served.hire_date), 1))))
        )
      else make_date({{ simulation_year() }}, raise_months.raise_month, raise_months.raise_day)
    end as raise_date
  from served
  left join raise_months on served.month_slot = raise_months.slot
),

employed as (
  select dated.*
  from dated
  left join departures on dated.employee_id = departures.employee_id
  where
    departures.termination_date is null
    or departures.termination_date >= dated.raise_date
),

-- A promotion of the same day comes first: the raise is that of the new level.
leveled as (
  select
    employed.employee_id,
    employed.raise_date,
    coalesce(promotions.level_after, employed.job_level) as job_level,
    promotions.employee_id is not null as is_after_promotion,
    case
      when promotions.employee_id is null then employed.annual_salary
      else {{ promoted_pay("employed.annual_salary", "promotions.raise_rate", "promotions.next_level_minimum") }}
    end as pay_before
  from employed
  left join promotions
    on
      employed.employee_id = promotions.employee_id
      and employed.raise_date >= promotions.promotion_date
),

payroll as (
  select
    job_level,
    sum(pay_before) as payroll
  from leveled
  group by job_level
),

mean_merit as (
  select
    cast(sum(payroll.payroll * {{ exact("merit_rates.parameter_value") }}) as double)
    / cast(sum(payroll.payroll) as double) as mean_merit
  from payroll
  inner join merit_rates on payroll.job_level = merit_rates.job_level
),

merit_scale as (
  select
    case
      when {{ lever('merit_budget') }} is null then 1
      when mean_merit = 0 and {{ lever('merit_budget') }} > 0
        then error('merit_budget cannot be reached because merit_base is 0 at every level; raise merit_base')
      when mean_merit = 0 then 1
      else {{ lever('merit_budget') }} / mean_merit
    end as merit_scale
  from mean_merit
),

level_rates as (
  select
    merit_rates.job_level,
    merit_rates.parameter_value * merit_scale.merit_scale as merit_rate,
    cola_rates.parameter_value as cola_rate,
    -- Cost of living comes first; the caps leave the rest to merit.
    greatest(
      0,
      least(
        merit_rates.parameter_value * merit_scale.merit_scale,
        {{ var("raise_cap_rate") }} - cola_rates.parameter_value
      )
    ) as capped_merit_rate,
    {{ raise_units("(merit_rates.parameter_value * merit_scale.merit_scale + cola_rates.parameter_value)") }}
      as raise_units
  from merit_rates
  inner join cola_rates on merit_rates.job_level = cola_rates.job_level
  cross join merit_scale
),

raised as (
  select
    leveled.employee_id,
    leveled.raise_date,
    leveled.job_level,
    leveled.is_after_promotion,
    level_rates.merit_rate,
    level_rates.cola_rate,
    greatest(
      0,
      least(
        level_rates.capped_merit_rate,
        cast({{ var("raise_cap_amount") }} as double) / cast(leveled.pay_before as double) - level_rates.cola_rate
      )
    ) as paid_merit_rate,
    leveled.pay_before,
    {{ raised_pay("leveled.pay_before", "level_rates.raise_units") }} as pay_after
  from leveled
  inner join level_rates on leveled.job_level = level_rates.job_level
)

select * from raised
