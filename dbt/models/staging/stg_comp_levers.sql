with comp_levers as (
  select * from {{ ref('comp_levers') }}
),

levers as (
  select * from {{ ref('stg_levers') }}
),

job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

-- A row that nothing reads is a mistake that would stay unseen, so it stops the build.
checked as (
  select
    comp_levers.scenario_id,
    comp_levers.fiscal_year,
    comp_levers.job_level,
    case
      when levers.parameter_name is null
        then error('comp_levers: unknown parameter_name ''' || comp_levers.parameter_name || '''; see config_levers')
      when comp_levers.scenario_id is null
        then error('comp_levers: a row of ' || comp_levers.parameter_name || ' has no scenario_id')
      when comp_levers.fiscal_year not between 1950 and 2200
        then error(
          'comp_levers: fiscal_year must be empty or from 1950 to 2200, got ' || comp_levers.fiscal_year || ' for '
          || comp_levers.parameter_name
        )
      when comp_levers.parameter_value is null and levers.is_required
        then error(
          'comp_levers: ' || comp_levers.parameter_name || ' has no parameter_value in scenario '
          || comp_levers.scenario_id || coalesce(', job_level ' || comp_levers.job_level, '')
          || coalesce(', fiscal_year ' || comp_levers.fiscal_year, '')
        )
      when levers.scope = 'company' and comp_levers.job_level is not null
        then error('comp_levers: ' || comp_levers.parameter_name || ' is company-wide, so job_level must be empty')
      when comp_levers.job_level is not null and job_levels.job_level is null
        then error(
          'comp_levers: ' || comp_levers.parameter_name || ' names the unknown job_level ' || comp_levers.job_level
        )
      when
        comp_levers.parameter_name in ('promotion_raise', 'promotion_rate_multiplier') and job_levels.is_top_level
        then error('comp_levers: ' || comp_levers.parameter_name || ' has no effect at the top level; remove the row')
      else comp_levers.parameter_name
    end as parameter_name,
    comp_levers.parameter_value,
    comp_levers.is_locked,
    comp_levers.created_at,
    comp_levers.created_by
  from comp_levers
  left join levers on comp_levers.parameter_name = levers.parameter_name
  left join job_levels on comp_levers.job_level = job_levels.job_level
)

select * from checked
