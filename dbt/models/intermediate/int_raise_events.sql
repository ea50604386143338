{%- set cutoff_month = whole_number("raise_cutoff_month", 1, 12) -%}
{%- set has_matrix = choice("merit_matrix", ["off", "seed"]) == "'seed'" -%}
{#- Whether merit differs between the people of a level. -#}
{%- set is_personal = cutoff_month is not none or has_matrix -%}
{%- set is_capped = choice("raise_band_cap", ["off", "maximum"]) == "'maximum'" -%}
-- depends_on: {{ ref('stg_merit_matrix') }}, {{ ref('stg_ratings') }}, {{ ref('int_adjustments') }}
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
{%- if has_adjustments() %}

adjustments as (
  select * from {{ ref('int_adjustments') }}
),
{%- endif %}
{%- if has_matrix or is_capped %}

pay_bands as ( -- noqa: ST03
  select * from {{ this_years_structure() }}
),
{%- endif %}

merit_rates as (
  select * from {{ level_levers('merit_base') }}
),

cola_rates as (
  select * from {{ level_levers('cola_rate') }}
),

served as (
  select
    opening_workforce.employee_id,
    opening_workforce.job_level,
    {{ adjusted_pay() }} as annual_salary,
    opening_workforce.hire_date,
    {%- if is_personal or is_capped %}
    opening_workforce.fte,
    {%- endif %}
    {%- if has_matrix %}
    opening_workforce.rating,
    {{ slot(draw("rating", "opening_workforce.key_high", "opening_workforce.key_low")) }} as rating_slot,
    {%- endif %}
    {%- if cutoff_month is not none %}
    -- Merit in ten-thousandths of a full year's: who came before last year has all of it, who came
    -- in it the part worked, who came in the cutoff month or later none. Cost of living is for all.
    case
      when opening_workforce.hire_date < {{ date_of_last_year(1) }} then 10000
      when opening_workforce.hire_date < {{ date_of_last_year(cutoff_month) }}
        then
          10000 * ({{ year_start() }} - opening_workforce.hire_date)
          // ({{ year_start() }} - {{ date_of_last_year(1) }})
      else 0
    end as merit_share,
    {%- endif %}
    {{ slot(raise_month_draw()) }} as month_slot
  from opening_workforce
  {{ join_adjustments('opening_workforce') }}
  {%- if cutoff_month is none %}
  where opening_workforce.tenure >= {{ var("raise_minimum_tenure") }}
  {%- endif %}
),

dated as (
  select
    served.employee_id,
    served.job_level,
    served.annual_salary,
    {%- if is_personal or is_capped %}
    served.fte,
    {%- endif %}
    {%- if has_matrix %}
    served.rating,
    served.rating_slot,
    {%- endif %}
    {%- if cutoff_month is not none %}
    served.merit_share,
    {%- endif %}
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
    {%- if is_personal or is_capped %}
    employed.fte,
    {%- endif %}
    {%- if has_matrix %}
    employed.rating,
    employed.rating_slot,
    {%- endif %}
    {%- if cutoff_month is not none %}
    employed.merit_share,
    {%- endif %}
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

{% if is_personal -%}
-- Each person's part of the merit of the level, in hundred-millionths.
factored as (
  select
    leveled.*,
    {%- if has_matrix %}
    merit_matrix.multiplier_units
    {%- else %}
    10000
    {%- endif %}
    * {{ "leveled.merit_share" if cutoff_month is not none else "10000" }} as merit_factor
  from leveled
  {%- if has_matrix %}
  inner join pay_bands on leveled.job_level = pay_bands.job_level
  inner join {{ ref('stg_ratings') }} as ratings on leveled.rating_slot = ratings.slot
  left join (select distinct rating from {{ ref('stg_ratings') }}) as named on leveled.rating = named.rating
  inner join {{ ref('stg_merit_matrix') }} as merit_matrix
    on
      coalesce(named.rating, ratings.rating) = merit_matrix.rating
      and {{ range_position("leveled.pay_before", "leveled.fte", "pay_bands") }} = merit_matrix.range_position
  {%- endif %}
),

payroll as (
  select
    job_level,
    sum({{ cents("pay_before") }}) as payroll,
    sum(cast({{ cents("pay_before") }} as hugeint) * merit_factor) as merit_payroll
  from factored
  group by job_level
),

mean_merit as (
  select
    cast(sum(payroll.merit_payroll * {{ rate_units("merit_rates.parameter_value") }}) as double) / 1e18
    / cast(sum(payroll.payroll) as double) as mean_merit
  from payroll
  inner join merit_rates on payroll.job_level = merit_rates.job_level
),
{%- else -%}
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
{%- endif %}

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
    {{ within_ranges('merit_rates.job_level', [
      ('raise_minimum_tenure', 0, 10), ('raise_cap_rate', 0, 10), ('raise_cap_amount', 0, 1000000000),
    ]) }} as job_level,
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

{% if is_personal -%}
rated as (
  select
    factored.*,
    level_rates.merit_rate * factored.merit_factor / 1e8 as merit_rate,
    level_rates.cola_rate,
    greatest(
      0,
      least(
        level_rates.merit_rate * factored.merit_factor / 1e8,
        {{ var("raise_cap_rate") }} - level_rates.cola_rate
      )
    ) as capped_merit_rate,
    {{ raise_units("(level_rates.merit_rate * factored.merit_factor / 1e8 + level_rates.cola_rate)") }} as raise_units
  from factored
  inner join level_rates on factored.job_level = level_rates.job_level
),
{%- else -%}
rated as (
  select
    leveled.*,
    level_rates.merit_rate,
    level_rates.cola_rate,
    level_rates.capped_merit_rate,
    level_rates.raise_units
  from leveled
  inner join level_rates on leveled.job_level = level_rates.job_level
),
{%- endif %}

raised as (
  select
    rated.employee_id,
    rated.raise_date,
    rated.job_level,
    rated.is_after_promotion,
    rated.merit_rate,
    rated.cola_rate,
    greatest(
      0,
      least(
        rated.capped_merit_rate,
        cast({{ var("raise_cap_amount") }} as double) / cast(rated.pay_before as double) - rated.cola_rate
      )
    ) as paid_merit_rate,
    rated.pay_before,
    {%- if is_capped %}
    greatest(rated.pay_before, {{ dollars(part_time("pay_bands.max_pay", "rated.fte")) }}) as highest_pay,
    {%- endif %}
    {{ raised_pay("rated.pay_before", "rated.raise_units") }} as full_pay_after
  from rated
  {%- if is_capped %}
  inner join pay_bands on rated.job_level = pay_bands.job_level
  {%- endif %}
),

-- With raise_band_cap nobody's pay rises above the band; the rest of the raise is paid once.
capped as (
  select
    employee_id,
    raise_date,
    job_level,
    is_after_promotion,
    merit_rate,
    cola_rate,
    paid_merit_rate,
    pay_before,
    {%- if is_capped %}
    least(full_pay_after, highest_pay) as pay_after,
    full_pay_after - least(full_pay_after, highest_pay) as lump_sum
    {%- else %}
    full_pay_after as pay_after,
    cast(0 as decimal(18, 2)) as lump_sum
    {%- endif %}
  from raised
)

select * from capped
