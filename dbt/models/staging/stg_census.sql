-- depends_on: {{ ref('config_census_mapping') }}
with census as (
  {%- if var("census_path") is none %}
  select
    *,
    {{ without_optional_census_columns() }}
  from ({{ sample_census(var("census_employees")) }})
  {%- else %}
  {{ own_census(var("census_path")) }}
  {%- endif %}
),

job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

latest_hires as (
  select * from census
  qualify row_number() over (partition by employee_id order by hire_date desc) = 1
),

leveled as (
  select
    latest_hires.employee_id,
    {{ person_key_high("latest_hires.employee_id") }} as key_high,
    {{ person_key_low("latest_hires.employee_id") }} as key_low,
    latest_hires.birth_date,
    latest_hires.hire_date,
    latest_hires.termination_date,
    coalesce(latest_hires.job_level, job_levels.job_level) as job_level,
    latest_hires.department,
    latest_hires.annual_salary,
    {%- for column in optional_census_columns() %}
    latest_hires.{{ column }},
    {%- endfor %}
    latest_hires.hire_date < make_date({{ var("start_year") }}, 1, 1)
    and (
      latest_hires.termination_date is null
      or latest_hires.termination_date >= make_date({{ var("start_year") }}, 1, 1)
    ) as is_active_at_start
  from latest_hires
  inner join job_levels
    on
      latest_hires.annual_salary >= job_levels.pay_from
      and latest_hires.annual_salary < job_levels.pay_below
)

select * from leveled
