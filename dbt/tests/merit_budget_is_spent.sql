-- With merit_budget set, the payroll-weighted mean merit of the raises equals it.
select sum(merit_rate * cast(pay_before as double)) / cast(sum(pay_before) as double) as mean_merit
from {{ ref('int_raise_events') }}
having abs(mean_merit - {{ lever('merit_budget') }}) > 1e-9
