with levers as (
  select * from {{ ref('stg_levers') }}
),

lever_rows as (
  select * from {{ ref('stg_comp_levers') }}
),

job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

-- The only place that reads lever vars. Each is the plain literal, so that whoever records
-- the compiled SQL can put another value in its place.
overrides (parameter_name, override_value) as (
  values
  ('merit_base', {{ lever_override(var('merit_base', none)) }}),
  ('merit_budget', {{ lever_override(var('merit_budget', none)) }}),
  ('cola_rate', {{ lever_override(var('cola_rate', none)) }}),
  ('promotion_raise', {{ lever_override(var('promotion_raise', none)) }}),
  ('promotion_rate_multiplier', {{ lever_override(var('promotion_rate_multiplier', none)) }}),
  ('new_hire_salary_adjustment', {{ lever_override(var('new_hire_salary_adjustment', none)) }}),
  ('target_growth_rate', {{ lever_override(var('target_growth_rate', none)) }}),
  ('total_termination_rate', {{ lever_override(var('total_termination_rate', none)) }}),
  ('new_hire_termination_rate', {{ lever_override(var('new_hire_termination_rate', none)) }})
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

resolved as (
  select
    wanted.parameter_name,
    wanted.job_level,
    wanted.lowest,
    wanted.below,
    case
      when most_specific.rivals > 1
        then error(
          'comp_levers: ' || most_specific.rivals || ' rows of equal rank (' || most_specific.source || ') set '
          || wanted.parameter_name || ' for {{ simulation_year() }}; keep one'
        )
      when overrides.override_value is not null and most_specific.is_locked
        then error('comp_levers locks ' || wanted.parameter_name || '; unlock the row or drop the var')
      when wanted.is_required and overrides.override_value is null and most_specific.parameter_value is null
        then error(
          'comp_levers has no value of ' || wanted.parameter_name || ' for {{ simulation_year() }}'
          || coalesce(', level ' || wanted.job_level, '') || '; add a row to scenario ''default'''
        )
      else coalesce(overrides.override_value, most_specific.parameter_value)
    end as value_before_check,
    case
      when overrides.override_value is not null then 'var'
      else coalesce(most_specific.source, 'unset')
    end as source,
    coalesce(most_specific.is_locked, false) as is_locked
  from wanted
  left join overrides on wanted.parameter_name = overrides.parameter_name
  left join most_specific
    on
      wanted.parameter_name = most_specific.parameter_name
      and coalesce(wanted.job_level, 0) = most_specific.level_key
),

range_checked as (
  select
    cast({{ scenario_id() }} as varchar) as scenario_id,
    cast({{ simulation_year() }} as integer) as simulation_year,
    parameter_name,
    job_level,
    case
      when not (value_before_check >= lowest and value_before_check < below)
        then error(
          parameter_name || ' must be at least ' || lowest || ' and below ' || below
          || ', got ' || value_before_check || ' (' || source || ')'
        )
      else value_before_check
    end as parameter_value,
    source,
    is_locked
  from resolved
)

select * from range_checked
