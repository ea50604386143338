-- Who has a known last day leaves on it, or by a reduction before it, and never by a hazard; an
-- accepted offer starts on its day.
select
  snapshot.employee_id,
  snapshot.simulation_year,
  snapshot.status
from {{ ref('fct_workforce_snapshot') }} as snapshot
where
  snapshot.known_termination_date is not null
  and (
    snapshot.status in (
      'experienced_termination', 'dismissal', 'retirement', 'new_hire_termination', 'new_hire_dismissal'
    )
    or (snapshot.is_active_at_close and year(snapshot.known_termination_date) <= snapshot.simulation_year)
    or (snapshot.status = 'known_termination' and snapshot.termination_date <> snapshot.known_termination_date)
  )
union all
select
  joiners.employee_id,
  year(joiners.hire_date) as simulation_year,
  'accepted offer that did not start' as status
from {{ ref('stg_known_joiners') }} as joiners
anti join {{ ref('fct_workforce_snapshot') }} as snapshot
  on joiners.employee_id = snapshot.employee_id and joiners.hire_date = snapshot.hire_date
where year(joiners.hire_date) = {{ simulation_year() }}
