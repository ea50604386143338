-- The mean of min(1, k x multiplier) is the wanted rate in each cohort; people with a known last day or a
-- retirement stand apart.
select
  opening_workforce.is_hired_last_year,
  avg(least(1, calibration.calibration_factor * opening_workforce.termination_multiplier)) as mean_probability,
  any_value(calibration.termination_rate) as termination_rate
from {{ ref('int_opening_workforce') }} as opening_workforce
inner join {{ ref('int_termination_calibration') }} as calibration
  on opening_workforce.is_hired_last_year = calibration.is_hired_last_year
anti join {{ ref('int_retirements') }} as retirements
  on opening_workforce.employee_id = retirements.employee_id
where opening_workforce.known_termination_date is null
group by opening_workforce.is_hired_last_year
having abs(mean_probability - any_value(calibration.termination_rate)) > 1e-9
