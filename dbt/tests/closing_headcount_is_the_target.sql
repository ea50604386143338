-- The simulated year closes on the planned headcount exactly.
select
  headcount_plan.target_headcount,
  growth.headcount_closing,
  growth.hires,
  growth.terminations
from {{ ref('fct_compensation_growth') }} as growth
cross join {{ ref('int_headcount_plan') }} as headcount_plan
where
  growth.scenario_id = {{ scenario_id() }}
  and growth.simulation_year = {{ simulation_year() }}
  and growth.job_level is null
  and (
    growth.headcount_closing <> headcount_plan.target_headcount
    or growth.hires <> headcount_plan.hires + headcount_plan.known_joiners
    or growth.terminations
    <> headcount_plan.terminations + headcount_plan.new_hire_terminations + headcount_plan.reductions
    + headcount_plan.known_joiners_leaving
  )
