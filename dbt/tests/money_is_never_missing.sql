-- Pay is unknown only where there is none: before a hire and after a termination.
select
  'snapshot' as source,
  employee_id as row_id
from {{ ref('fct_workforce_snapshot') }}
where
  annual_salary is null
  or paid_compensation is null
  or (opening_salary is null) <> (opening_level is null)
union all
select
  'events' as source,
  event_id as row_id
from {{ ref('fct_yearly_events') }}
where (pay_before is null) <> (event_type = 'hire') or (pay_after is null) <> (event_type = 'termination')
union all
select
  'growth' as source,
  growth_id as row_id
from {{ ref('fct_compensation_growth') }}
where
  payroll_opening is null
  or payroll_closing is null
  or paid_compensation is null
  or (average_pay_closing is null) <> (headcount_closing = 0)
