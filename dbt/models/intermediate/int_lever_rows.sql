-- Apart from int_effective_parameters because no lever var decides which row of comp_levers is in
-- force: while vars are tried, this stays as it is.
with levers as (
  select * from {{ ref('stg_levers') }}
),

lever_rows as (
  select * from {{ ref('stg_comp_levers') }}
),

job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

wanted as (
  select
    levers.*,
    job_levels.job_level
  from levers
  left join job_levels on levers.scope = 'level'
),

matching as (
  select
    wanted.parameter_name,
    coalesce(wanted.job_level, 0) as level_key,
    lever_rows.parameter_value,
    lever_rows.is_locked,
    (case when lever_rows.scenario_id = {{ scenario_id() }} then 4 else 0 end)
    + (case when lever_rows.job_level is not null then 2 else 0 end)
    + (case when lever_rows.fiscal_year is not null then 1 else 0 end) as specificity,
    (case when lever_rows.scenario_id = {{ scenario_id() }} then 'scenario' else 'default' end)
    || (case when lever_rows.job_level is not null then '+level' else '' end)
    || (case when lever_rows.fiscal_year is not null then '+year' else '' end) as source
  from wanted
  inner join lever_rows
    on
      wanted.parameter_name = lever_rows.parameter_name
      and lever_rows.scenario_id in ({{ scenario_id() }}, 'default')
      and (lever_rows.fiscal_year is null or lever_rows.fiscal_year = {{ simulation_year() }})
      and (lever_rows.job_level is null or wanted.job_level = lever_rows.job_level)
),

most_specific as (
  select
    *,
    count(*) over (partition by parameter_name, level_key, specificity) as rivals
  from matching
  qualify row_number() over (partition by parameter_name, level_key order by specificity desc, parameter_value asc) = 1
),

in_force as (
  select
    wanted.parameter_name,
    wanted.job_level,
    wanted.lowest,
    wanted.below,
    wanted.is_required,
    case
      when most_specific.rivals > 1
        then error(
          'comp_levers: ' || most_specific.rivals || ' rows of equal rank (' || most_specific.source || ') set '
          || wanted.parameter_name || ' for {{ simulation_year() }}; keep one'
        )
      else most_specific.parameter_value
    end as parameter_value,
    coalesce(most_specific.source, 'unset') as source,
    coalesce(most_specific.is_locked, false) as is_locked
  from wanted
  left join most_specific
    on
      wanted.parameter_name = most_specific.parameter_name
      and coalesce(wanted.job_level, 0) = most_specific.level_key
)

select * from in_force
