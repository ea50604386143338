{{ config(post_hook="{{ write_census_rejects() }}") }}

-- depends_on: {{ ref('config_census_mapping') }}, {{ ref('stg_job_levels') }}
with rejects as (
  {%- if var("census_path") is none %}
  select
    null as census_row,
    null as employee_id,
    null as reason,
    null as given,
    null as allowed
  where false
  {%- else %}
  {{ census_rejects(var("census_path")) }}
  {%- endif %}
),

typed as (
  select
    cast(census_row as bigint) as census_row,
    cast(employee_id as varchar) as employee_id,
    cast(reason as varchar) as reason,
    cast(given as varchar) as given,
    cast(allowed as varchar) as allowed
  from rejects
)

select * from typed
