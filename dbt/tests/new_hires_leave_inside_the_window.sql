-- A hire who leaves stays the minimum days, leaves inside the year and was not hired in the
-- protected months at its end.
select
  employee_id,
  hire_date,
  termination_date
from {{ ref('fct_workforce_snapshot') }}
where
  scenario_id = {{ scenario_id() }}
  and simulation_year = {{ simulation_year() }}
  and status in ('new_hire_termination', 'new_hire_dismissal')
  and (
    termination_date < hire_date + {{ var("new_hire_minimum_days") }}
    or year(termination_date) <> simulation_year
    or month(hire_date) >= {{ var("new_hire_protected_month") }}
  )
