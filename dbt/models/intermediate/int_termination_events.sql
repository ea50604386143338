-- depends_on: {{ ref('int_retirements') }}
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
  {%- if has_retirement() %}
  anti join {{ ref('int_retirements') }} as retirements on opening_workforce.employee_id = retirements.employee_id
  {%- endif %}
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
    case
      when known_termination_date is not null then 'known_termination'
      else {{ leaving_status('experienced_termination', 'dismissal') }}
    end as status,
    probability
  from leavers
  {%- if has_retirement() %}
  union all
  select
    employee_id,
    job_level,
    termination_date,
    'retirement' as status,
    probability
  from {{ ref('int_retirements') }}
  {%- endif %}
)

select * from dated
