with people as (
  {%- if is_first_year() %}
  select
    employee_id,
    key_high,
    key_low,
    birth_date,
    hire_date,
    job_level,
    department,
    annual_salary,
    termination_date as known_termination_date,
    cast(coalesce(fte, 1) as decimal(6, 4)) as fte,
    gender,
    rating
  from {{ ref('stg_census') }}
  where is_active_at_start
  {%- else %}
  -- depends_on: {{ ref('stg_census') }}
  select
    employee_id,
    key_high,
    key_low,
    birth_date,
    hire_date,
    job_level,
    department,
    annual_salary,
    known_termination_date,
    fte,
    gender,
    cast(null as varchar) as rating
  from {{ previous_snapshot() }}
  where
    scenario_id = {{ scenario_id() }}
    and simulation_year = {{ simulation_year() - 1 }}
    and is_active_at_close
  {%- endif %}
),

age_years as (
  select * from {{ ref('stg_age_years') }}
),

tenure_years as (
  select * from {{ ref('stg_tenure_years') }}
),

job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

-- Age and tenure come from the dates every year; nothing is counted up.
aged as (
  select
    *,
    {{ full_years("birth_date") }} as age,
    {{ full_years("hire_date") }} as tenure
  from people
),

banded as (
  select
    aged.employee_id,
    aged.key_high,
    aged.key_low,
    aged.birth_date,
    aged.hire_date,
    aged.job_level,
    aged.department,
    aged.annual_salary,
    aged.known_termination_date,
    aged.fte,
    aged.gender,
    aged.rating,
    aged.age,
    aged.tenure,
    age_years.age_band,
    tenure_years.tenure_band,
    aged.hire_date >= make_date({{ simulation_year() }} - 1, 1, 1) as is_hired_last_year,
    cast(
      age_years.termination_multiplier * tenure_years.termination_multiplier * job_levels.termination_multiplier
      as decimal(12, 6)
    ) as termination_multiplier,
    cast(
      age_years.promotion_multiplier * tenure_years.promotion_multiplier * job_levels.promotion_multiplier
      as decimal(12, 6)
    ) as promotion_multiplier
  from aged
  inner join age_years on aged.age = age_years.age
  inner join tenure_years on aged.tenure = tenure_years.tenure
  inner join job_levels on aged.job_level = job_levels.job_level
)

select * from banded
