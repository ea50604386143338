-- Headcount and payroll at the close are those that the next year opens with, per level.
select
  this_year.growth_id,
  this_year.headcount_closing,
  next_year.headcount_opening,
  this_year.payroll_closing,
  next_year.payroll_opening
from {{ ref('fct_compensation_growth') }} as this_year
inner join {{ ref('fct_compensation_growth') }} as next_year
  on
    this_year.scenario_id = next_year.scenario_id
    and this_year.simulation_year + 1 = next_year.simulation_year
    and this_year.job_level is not distinct from next_year.job_level
where
  this_year.headcount_closing <> next_year.headcount_opening
  or this_year.payroll_closing <> next_year.payroll_opening
