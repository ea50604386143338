with lever_rows as (
  select * from {{ ref('int_lever_rows') }}
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
  ('new_hire_termination_rate', {{ lever_override(var('new_hire_termination_rate', none)) }}),
  ('structure_adjustment_rate', {{ lever_override(var('structure_adjustment_rate', none)) }}),
  ('minimum_adjustment_share', {{ lever_override(var('minimum_adjustment_share', none)) }}),
  ('equity_pool', {{ lever_override(var('equity_pool', none)) }})
),

resolved as (
  select
    lever_rows.parameter_name,
    lever_rows.job_level,
    lever_rows.lowest,
    lever_rows.below,
    case
      when overrides.override_value is not null and lever_rows.is_locked
        then error('comp_levers locks ' || lever_rows.parameter_name || '; unlock the row or drop the var')
      when lever_rows.is_required and overrides.override_value is null and lever_rows.parameter_value is null
        then error(
          'comp_levers has no value of ' || lever_rows.parameter_name || ' for {{ simulation_year() }}'
          || coalesce(', level ' || lever_rows.job_level, '') || '; add a row to scenario ''default'''
        )
      else coalesce(overrides.override_value, lever_rows.parameter_value)
    end as value_before_check,
    case when overrides.override_value is null then lever_rows.source else 'var' end as source,
    lever_rows.is_locked
  from lever_rows
  left join overrides on lever_rows.parameter_name = overrides.parameter_name
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
      {%- if not has_adjustments() %}
      when parameter_name in ('minimum_adjustment_share', 'equity_pool') and value_before_check > 0
        then error(
          'comp_levers sets ' || parameter_name || ' to ' || value_before_check || ' for {{ simulation_year() }}, and '
          || 'adjustments are read from vars; set the var adjustments: rows, or the var ' || parameter_name
        )
      {%- endif %}
      else value_before_check
    end as parameter_value,
    source,
    is_locked
  from resolved
)

select * from range_checked
