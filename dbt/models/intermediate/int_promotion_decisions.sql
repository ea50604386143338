with opening_workforce as (
  select * from {{ ref('int_opening_workforce') }}
),

departures as (
  select * from {{ ref('int_departures') }}
),

pay_bands as (
  select * from {{ this_years_structure() }}
),

hazards as (
  select * from {{ ref('config_hazards') }}
),

rate_multipliers as (
  select * from {{ level_levers('promotion_rate_multiplier') }}
),

raises as (
  select * from {{ level_levers('promotion_raise') }}
),

chances as (
  select
    {{ within_ranges('rate_multipliers.job_level', [
      ('promotion_month', 1, 12), ('promotion_minimum_tenure', 0, 10), ('promotion_age_limit', 50, 100),
      ('promotion_raise_spread', 0, 1), ('promotion_cap_rate', 0, 10), ('promotion_cap_amount', 0, 1000000000),
    ]) }} as job_level,
    hazards.base_rate * rate_multipliers.parameter_value as level_chance,
    raises.parameter_value as promotion_raise,
    next_level.job_level as next_level,
    next_level.min_pay as next_level_minimum
  from rate_multipliers
  inner join hazards on hazards.hazard = 'promotion'
  inner join raises on rate_multipliers.job_level = raises.job_level
  inner join pay_bands as next_level on rate_multipliers.job_level + 1 = next_level.job_level
),

eligible as (
  select
    opening_workforce.employee_id,
    opening_workforce.key_high,
    opening_workforce.key_low,
    opening_workforce.fte,
    chances.*,
    least(1, chances.level_chance * opening_workforce.promotion_multiplier) as probability,
    {{ draw("promotion", "opening_workforce.key_high", "opening_workforce.key_low") }} as promotion_draw
  from opening_workforce
  inner join chances on opening_workforce.job_level = chances.job_level
  where
    opening_workforce.tenure >= {{ var("promotion_minimum_tenure") }}
    and opening_workforce.age < {{ var("promotion_age_limit") }}
),

chosen as (
  select * from eligible
  where promotion_draw < probability
),

promoted as (
  select
    chosen.employee_id,
    {{ promotion_date() }} as promotion_date,
    chosen.job_level as level_before,
    chosen.next_level as level_after,
    -- Bands are those of a full-time job.
    {{ dollars(part_time("chosen.next_level_minimum", "chosen.fte")) }} as next_level_minimum,
    chosen.promotion_raise
    + ({{ draw("promotion_raise", "chosen.key_high", "chosen.key_low") }} - 0.5) * {{ var("promotion_raise_spread") }}
      as raise_rate,
    chosen.probability
  from chosen
  left join departures on chosen.employee_id = departures.employee_id
  where
    departures.termination_date is null
    or departures.termination_date >= {{ promotion_date() }}
)

select * from promoted
