-- Nobody is paid outside the range that the year's lowest and highest pay allow for the days
-- worked (half a cent of rounding), and nobody works more days than the year has.
select
  employee_id,
  simulation_year,
  paid_compensation,
  days_employed
from {{ ref('fct_workforce_snapshot') }}
where
  days_employed not between 1 and make_date(simulation_year + 1, 1, 1) - make_date(simulation_year, 1, 1)
  or paid_compensation - lump_sum
  > greatest(annual_salary, coalesce(opening_salary, 0)) * days_employed
  / (make_date(simulation_year + 1, 1, 1) - make_date(simulation_year, 1, 1)) + 0.006
  or paid_compensation - lump_sum
  < least(annual_salary, coalesce(opening_salary, annual_salary)) * days_employed
  / (make_date(simulation_year + 1, 1, 1) - make_date(simulation_year, 1, 1)) - 0.006
