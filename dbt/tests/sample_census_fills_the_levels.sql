-- The generated census has every level, with pay inside the band of the level.
{%- if var("census_path") is not none %}
select 1 as nothing_to_check
where false
{%- else %}
select
  job_levels.job_level,
  count(census.employee_id) as people
from {{ ref('stg_job_levels') }} as job_levels
left join {{ ref('stg_census') }} as census on job_levels.job_level = census.job_level
group by job_levels.job_level, job_levels.min_pay, job_levels.max_pay
having
  (people = 0 and {{ var("census_employees") }} >= 1000)
  or min(census.annual_salary) < job_levels.min_pay
  or max(census.annual_salary) >= job_levels.max_pay
{%- endif %}
