with census as (
  select * from {{ ref('stg_census') }}
),

departments as (
  select distinct department from census
  where is_active_at_start and department is not null
),

numbered as (
  select
    row_number() over (order by department) as department_number,
    department,
    count(*) over () as departments
  from departments
)

select * from numbered
