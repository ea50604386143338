{#- Raises of January 1 before anything else happens: people below their band's minimum are lifted to it,
    the largest gap first, and an equity pool closes part of every gap to the midpoint. -#}
-- depends_on: {{ ref('int_opening_workforce') }}, {{ ref('int_effective_parameters') }}
-- depends_on: {{ ref('fct_salary_structure') }}
{% if has_adjustments() -%}
with opening_workforce as (
  select * from {{ ref('int_opening_workforce') }}
),

pay_bands as (
  select * from {{ this_years_structure() }}
),

wanted as (
  select
    {{ lever('minimum_adjustment_share') }} as minimum_share,
    {{ rate_units(lever('equity_pool')) }} as pool_units
),

-- Nothing is read further while both levers are 0.
banded as (
  select
    opening_workforce.employee_id,
    opening_workforce.job_level,
    {{ cents("opening_workforce.annual_salary") }} as pay_cents,
    -- Bands are those of a full-time job.
    {{ part_time("pay_bands.min_pay", "opening_workforce.fte") }} as minimum_cents,
    {{ part_time("pay_bands.mid_pay", "opening_workforce.fte") }} as midpoint_cents,
    wanted.minimum_share,
    wanted.pool_units
  from opening_workforce
  inner join wanted on wanted.minimum_share > 0 or wanted.pool_units > 0
  inner join pay_bands on opening_workforce.job_level = pay_bands.job_level
),

below_minimum as (
  select
    employee_id,
    minimum_cents - pay_cents as minimum_gap
  from banded
  where pay_cents < minimum_cents
  -- The inner rounding removes binary noise, as in the headcount plan.
  qualify
    row_number() over (order by minimum_cents - pay_cents desc, employee_id asc)
    <= round(round(minimum_share * count(*) over (), 6))
),

lifted as (
  select
    banded.*,
    coalesce(below_minimum.minimum_gap, 0) as minimum_cents_added,
    greatest(
      0, banded.midpoint_cents - banded.pay_cents - coalesce(below_minimum.minimum_gap, 0)
    ) as midpoint_gap
  from banded
  left join below_minimum on banded.employee_id = below_minimum.employee_id
),

-- Everyone below the midpoint gets the same part of the gap; cents are rounded down, so that the pool
-- is never exceeded.
pooled as (
  select
    *,
    least(
      cast(sum(pay_cents) over () as hugeint) * pool_units // 10000000000,
      cast(sum(midpoint_gap) over () as hugeint)
    ) as pool_cents,
    cast(sum(midpoint_gap) over () as hugeint) as all_gaps
  from lifted
),

adjusted as (
  select
    employee_id,
    job_level,
    pay_cents,
    minimum_cents_added,
    case when all_gaps > 0 then cast(cast(midpoint_gap as hugeint) * pool_cents // all_gaps as bigint) else 0 end
      as equity_cents_added
  from pooled
),

adjustments as (
  select
    employee_id,
    {{ year_start() }} as adjustment_date,
    job_level,
    {{ dollars("pay_cents") }} as pay_before,
    {{ dollars("minimum_cents_added") }} as minimum_adjustment,
    {{ dollars("equity_cents_added") }} as equity_adjustment,
    {{ dollars("(pay_cents + minimum_cents_added + equity_cents_added)") }} as pay_after
  from adjusted
  where minimum_cents_added + equity_cents_added > 0
)

select * from adjustments
{%- else -%}
select
  cast(null as varchar) as employee_id,
  cast(null as date) as adjustment_date,
  cast(null as integer) as job_level,
  cast(null as decimal(18, 2)) as pay_before,
  cast(null as decimal(18, 2)) as minimum_adjustment,
  cast(null as decimal(18, 2)) as equity_adjustment,
  cast(null as decimal(18, 2)) as pay_after
where false
{%- endif %}
