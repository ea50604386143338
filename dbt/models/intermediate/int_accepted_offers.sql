{#- People whose accepted offers begin in the year: hires by name. No lever changes them, so that a search works
    them out once and not for every candidate. -#}
with known_joiners as (
  select * from {{ ref('stg_known_joiners') }}
  where year(hire_date) = {{ simulation_year() }}
),

offers as (
  select
    employee_id,
    key_high,
    key_low,
    cast(null as bigint) as hire_sequence,
    job_level,
    birth_date,
    hire_date,
    case when termination_date <= {{ year_end() }} then termination_date end as termination_date,
    department,
    gender,
    annual_salary,
    'accepted_offer' as reason,
    cast(coalesce(fte, 1) as decimal(6, 4)) as fte,
    case when termination_date <= {{ year_end() }} then 'known_termination' end as leave_reason,
    termination_date as known_termination_date
  from known_joiners
)

select * from offers
