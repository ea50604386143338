{{ config(post_hook="{{ print_census_summary() }}") }}

-- depends_on: {{ ref('config_census_mapping') }}
with census as (
  select * from {{ ref('stg_census') }}
),

rejects as (
  select * from {{ ref('stg_census_rejects') }}
),

job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

active as (
  select
    job_level,
    count(*) as people,
    sum(annual_salary) as payroll
  from census
  where is_active_at_start
  group by job_level
),

levels as (
  select
    1 as place,
    'employed, level ' || job_levels.job_level || ' ' || job_levels.level_name as item,
    coalesce(active.people, 0) as people,
    coalesce(active.payroll, 0) as payroll
  from job_levels
  left join active on job_levels.job_level = active.job_level
),

total as (
  select
    2 as place,
    'employed on January 1, {{ var("start_year") }}' as item,
    coalesce(sum(people), 0) as people,
    coalesce(sum(payroll), 0) as payroll
  from active
),

former as (
  select
    3 as place,
    'left before' as item,
    count(*) as people,
    cast(null as decimal(18, 2)) as payroll
  from census
  where termination_date < make_date({{ var("start_year") }}, 1, 1)
),

joining as (
  select
    3 as place,
    'start later' as item,
    count(*) as people,
    sum(annual_salary) as payroll
  from census
  where hire_date >= make_date({{ var("start_year") }}, 1, 1)
  having count(*) > 0
),

skipped as (
  select
    4 as place,
    'row skipped: ' || reason as item,
    count(*) as people,
    cast(null as decimal(18, 2)) as payroll
  from rejects
  group by reason
),

notes as (
  select
    5 as place,
    unnest({{ census_notes() }}) as item,
    cast(null as bigint) as people,
    cast(null as decimal(18, 2)) as payroll
),

lines as (
  select * from levels
  union all
  select * from total
  union all
  select * from former
  union all
  select * from joining
  union all
  select * from skipped
  union all
  select * from notes
),

numbered as (
  select
    cast(row_number() over (order by place, item) as integer) as line,
    item,
    cast(people as bigint) as people,
    cast(payroll as decimal(18, 2)) as payroll
  from lines
)

select * from numbered
