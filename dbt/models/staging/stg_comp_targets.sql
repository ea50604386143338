with comp_targets as (
  select * from {{ ref('comp_targets') }}
),

metrics as (
  select * from {{ ref('stg_metrics') }}
),

job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

-- A target that no metric answers, or that is set twice, stops the build.
checked as (
  select
    comp_targets.scenario_id,
    comp_targets.fiscal_year,
    comp_targets.job_level,
    case
      when metrics.metric is null
        then error('comp_targets: unknown metric ''' || comp_targets.metric || '''; see config_metrics')
      when comp_targets.scenario_id is null
        then error('comp_targets: a row of ' || comp_targets.metric || ' has no scenario_id')
      when comp_targets.fiscal_year not between 1950 and 2200
        then error(
          'comp_targets: fiscal_year must be empty or from 1950 to 2200, got ' || comp_targets.fiscal_year || ' for '
          || comp_targets.metric
        )
      when comp_targets.job_level is not null and comp_targets.metric <> 'median_compensation'
        then error('comp_targets: ' || comp_targets.metric || ' is not measured by level, so job_level must be empty')
      when comp_targets.job_level is not null and job_levels.job_level is null
        then error('comp_targets: ' || comp_targets.metric || ' names the unknown job_level ' || comp_targets.job_level)
      when
        count(*) over (
          partition by
            comp_targets.scenario_id, comp_targets.fiscal_year, comp_targets.job_level, comp_targets.metric
        ) > 1
        then error('comp_targets sets ' || comp_targets.metric || ' twice for the same scenario, year and level')
      when coalesce(comp_targets.tolerance, -1) < 0 or coalesce(comp_targets.target_value, 0) = 0
        then error('comp_targets: ' || comp_targets.metric || ' needs a target_value other than 0 and a tolerance >= 0')
      else comp_targets.metric
    end as metric,
    comp_targets.target_value,
    comp_targets.tolerance,
    comp_targets.priority
  from comp_targets
  left join metrics on comp_targets.metric = metrics.metric
  left join job_levels on comp_targets.job_level = job_levels.job_level
)

select * from checked
