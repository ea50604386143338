with opening_workforce as (
  select * from {{ ref('int_opening_workforce') }}
),

calibration as (
  select * from {{ ref('int_termination_calibration') }}
),

-- Who has a known last day leaves on it and has no hazard on top.
exposed as (
  select
    opening_workforce.employee_id,
    opening_workforce.key_high,
    opening_workforce.key_low,
    opening_workforce.job_level,
    opening_workforce.known_termination_date,
    case
      when opening_workforce.known_termination_date is null
        then least(1, calibration.calibration_factor * opening_workforce.termination_multiplier)
    end as probability,
    {{ draw("termination", "opening_workforce.key_high", "opening_workforce.key_low") }} as termination_draw
  from opening_workforce
  left join calibration
    on opening_workforce.is_hired_last_year = calibration.is_hired_last_year
),

leavers as (
  select * from exposed
  where termination_draw < probability or known_termination_date <= {{ year_end() }}
),

dated as (
  select
    employee_id,
    job_level,
    coalesce(known_termination_date, {{ day_of_year(draw("departure_day")) }}) as termination_date,
    case when known_termination_date is null then 'experienced_termination' else 'known_termination' end as status,
    probability
  from leavers
)

select * from dated
