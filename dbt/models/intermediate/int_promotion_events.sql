-- depends_on: {{ ref('int_adjustments') }}
with decisions as (
  select * from {{ ref('int_promotion_decisions') }}
),

opening_workforce as (
  select * from {{ ref('int_opening_workforce') }}
),

raises as (
  select * from {{ ref('int_raise_events') }}
),
{%- if has_adjustments() %}

adjustments as (
  select * from {{ ref('int_adjustments') }}
),
{%- endif %}

-- A raise of January is already in the pay that a promotion builds on.
ordered as (
  select
    decisions.*,
    raises.employee_id is not null as is_after_raise,
    coalesce(raises.pay_after, {{ adjusted_pay() }}) as pay_before
  from decisions
  inner join opening_workforce on decisions.employee_id = opening_workforce.employee_id
  {{ join_adjustments('decisions') }}
  left join raises
    on
      decisions.employee_id = raises.employee_id
      and decisions.promotion_date > raises.raise_date
),

promoted as (
  select
    employee_id,
    promotion_date,
    level_before,
    level_after,
    is_after_raise,
    pay_before,
    {{ promoted_pay("pay_before", "raise_rate", "next_level_minimum") }} as pay_after,
    probability
  from ordered
)

select * from promoted
