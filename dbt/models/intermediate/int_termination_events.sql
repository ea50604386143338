with opening_workforce as (
  select * from {{ ref('int_opening_workforce') }}
),

calibration as (
  select * from {{ ref('int_termination_calibration') }}
),

exposed as (
  select
    opening_workforce.employee_id,
    opening_workforce.key_high,
    opening_workforce.key_low,
    opening_workforce.job_level,
    least(1, calibration.calibration_factor * opening_workforce.termination_multiplier) as probability,
    {{ draw("termination", "opening_workforce.key_high", "opening_workforce.key_low") }} as termination_draw
  from opening_workforce
  inner join calibration
    on opening_workforce.is_hired_last_year = calibration.is_hired_last_year
),

leavers as (
  select * from exposed
  where termination_draw < probability
),

dated as (
  select
    employee_id,
    job_level,
    {{ day_of_year(draw("departure_day")) }} as termination_date,
    probability
  from leavers
)

select * from dated
