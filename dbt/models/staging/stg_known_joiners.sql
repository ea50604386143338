{#- Offers that are accepted: people of the census whose first day lies in or after the start year. -#}
with census as (
  select * from {{ ref('stg_census') }}
),

joiners as (
  select
    employee_id,
    key_high,
    key_low,
    birth_date,
    hire_date,
    termination_date,
    job_level,
    department,
    gender,
    fte,
    annual_salary
  from census
  where hire_date >= make_date({{ var("start_year") }}, 1, 1)
)

select * from joiners
