{{ config(
  materialized='incremental',
  incremental_strategy='append',
  on_schema_change='fail',
  full_refresh=false,
  pre_hook="{{ forget_from_this_year() }}",
) }}

{#- Bands of the first year are those of the seed; each later year moves last year's, so that a rate
    may differ by year. Rounded to cents once a year. -#}
with job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

bands as (
  {%- if is_first_year() %}
  select
    job_level,
    min_pay,
    midpoint_pay as mid_pay,
    max_pay
  from job_levels
  -- depends_on: {{ ref('int_effective_parameters') }}, {{ ref('int_lever_rows') }}
  {%- else %}
  select
    last_year.job_level,
    {{ dollars(cents_times(cents("last_year.min_pay"), "(10000000000 + " ~ rate_units("adjustments.parameter_value") ~ ")")) }}
      as min_pay,
    {{ dollars(cents_times(cents("last_year.mid_pay"), "(10000000000 + " ~ rate_units("adjustments.parameter_value") ~ ")")) }}
      as mid_pay,
    {{ dollars(cents_times(cents("last_year.max_pay"), "(10000000000 + " ~ rate_units("adjustments.parameter_value") ~ ")")) }}
      as max_pay
  from {{ previous_structure() }} as last_year
  inner join {{ lever_rows('structure_adjustment_rate') }} as adjustments
    on last_year.job_level = adjustments.job_level
  where
    last_year.scenario_id = {{ scenario_id() }}
    and last_year.simulation_year = {{ simulation_year() - 1 }}
  {%- endif %}
),

structure as (
  select
    cast({{ scenario_id() }} as varchar) as scenario_id,
    cast({{ simulation_year() }} as integer) as simulation_year,
    bands.job_level,
    cast(bands.min_pay as decimal(18, 2)) as min_pay,
    cast(bands.mid_pay as decimal(18, 2)) as mid_pay,
    cast(bands.max_pay as decimal(18, 2)) as max_pay,
    -- Pay of a new hire before the adjustment lever and the random spread, exact.
    cast(
      (bands.min_pay + (bands.max_pay - bands.min_pay) * job_levels.pay_percentile) * job_levels.market_multiplier
      as decimal(18, 6)
    ) as new_hire_base_pay
  from bands
  inner join job_levels on bands.job_level = job_levels.job_level
)

select * from structure
