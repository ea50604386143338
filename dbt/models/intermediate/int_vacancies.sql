{#- Positions that leavers left open and that are filled in the year, time_to_fill_days after the last day
    worked; those of last year's leavers among them. -#}
-- depends_on: {{ ref('int_departures') }}, {{ ref('int_promotion_decisions') }}
{% if has_backfill() -%}
with leavers as (
  select
    departures.employee_id,
    coalesce(promotions.level_after, departures.job_level) as job_level,
    departures.termination_date
  from {{ ref('int_departures') }} as departures
  left join {{ ref('int_promotion_decisions') }} as promotions on departures.employee_id = promotions.employee_id
  where departures.status <> 'reduction'
  {%- if not is_first_year() %}
  union all
  select
    employee_id,
    job_level,
    termination_date
  from {{ previous_snapshot() }}
  where
    scenario_id = {{ scenario_id() }}
    and simulation_year = {{ simulation_year() - 1 }}
    and not is_active_at_close
    and status <> 'reduction'
  {%- endif %}
),

filled as (
  select
    employee_id,
    job_level,
    termination_date + 1 + {{ time_to_fill_days() }} as fill_date
  from leavers
),

vacancies as (
  select
    employee_id as replaced_id,
    job_level,
    fill_date,
    row_number() over (partition by job_level order by fill_date, employee_id) - 1 as place
  from filled
  where fill_date between {{ year_start() }} and {{ year_end() }}
)

select * from vacancies
{%- else -%}
select
  cast(null as varchar) as replaced_id,
  cast(null as integer) as job_level,
  cast(null as date) as fill_date,
  cast(null as bigint) as place
where false
{%- endif %}
