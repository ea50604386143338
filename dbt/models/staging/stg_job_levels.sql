{#- Levels, bands and everything that hangs on a level, complete or refused. -#}
with job_levels as (
  select * from {{ ref('config_job_levels') }}
),

pay_percentiles as (
  select * from {{ ref('config_new_hire_pay') }}
),

fixed_shares as (
  select * from {{ ref('config_new_hire_levels') }}
),

hazards as (
  select * from {{ ref('config_hazards') }}
),

-- A level's own multiplier, where there is one, instead of the formula of config_hazards.
level_hazards as (
  select * from {{ ref('config_level_hazards') }}
),

problems as (
  {{ level_problems('config_job_levels', ['level_name', 'min_pay', 'max_pay']) }}
  union all
  {{ level_problems('config_new_hire_pay', ['pay_percentile', 'market_multiplier']) }}
  union all
  {{ level_problems('config_new_hire_levels', ['share']) }}
  union all
  {{ named_row_problems('config_hazards', 'hazard', ['termination', 'promotion'], ['level_step', 'level_floor']) }}
  union all
  {{ range_problems(
    'config_new_hire_pay', 'job_level', [('pay_percentile', 0, 1), ('market_multiplier', 0.1, 10)]
  ) }}
  union all
  {{ range_problems('config_new_hire_levels', 'job_level', [('share', 0, 1)]) }}
  union all
  {{ range_problems('config_hazards', 'hazard', [('base_rate', 0, 1), ('level_step', -1, 1), ('level_floor', 0, 10)]) }}
  union all
  select
    '{{ seed_file("config_hazards") }}: base_rate of hazard termination must be empty, got ' || base_rate
    || '; its rates are the levers total_termination_rate and new_hire_termination_rate' as problem
  from hazards
  where hazard = 'termination' and base_rate is not null
  union all
  select '{{ seed_file("config_hazards") }} has a row for hazard ' || hazard || ', which no model reads' as problem
  from hazards
  where hazard not in ('termination', 'promotion')
  union all
  select '{{ seed_file("config_hazards") }} has no base_rate for hazard promotion' as problem
  from hazards
  where hazard = 'promotion' and base_rate is null
  union all
  select
    '{{ seed_file("config_level_hazards") }} has ' || count(*) || ' rows for hazard ' || hazard || ' at job_level '
    || job_level
  from level_hazards
  group by hazard, job_level
  having count(*) > 1
  union all
  select
    '{{ seed_file("config_level_hazards") }} has a row for hazard ' || coalesce(level_hazards.hazard, '(empty)')
    || ' at job_level ' || coalesce(cast(level_hazards.job_level as varchar), '(empty)')
    || '; hazards are termination and promotion, levels those of config_job_levels'
  from level_hazards
  left join job_levels on level_hazards.job_level = job_levels.job_level
  where job_levels.job_level is null or coalesce(level_hazards.hazard, '') not in ('termination', 'promotion')
  union all
  select
    '{{ seed_file("config_level_hazards") }} must have a multiplier of 0 or more for hazard ' || hazard
    || ' at job_level ' || job_level
  from level_hazards
  where coalesce(multiplier, -1) < 0
),

ordered as (
  select
    *,
    coalesce(mid_pay, cast((min_pay + max_pay) * 0.5 as decimal(18, 2))) as midpoint_pay,
    row_number() over (order by job_level) as position,
    lag(min_pay) over (order by job_level) as min_pay_below,
    lag(max_pay) over (order by job_level) as max_pay_below,
    max(job_level) over () as top_level
  from job_levels
),

checked as (
  select
    *,
    case
      when {{ all_problems('problems') }} is not null then error({{ all_problems('problems') }})
      when position <> job_level
        then error('config_job_levels must number its levels 1, 2, 3, ... but has level ' || job_level)
      when min_pay <= 0 or min_pay >= max_pay
        then error('config_job_levels: min_pay must be above 0 and below max_pay at level ' || job_level)
      when midpoint_pay <= min_pay or midpoint_pay >= max_pay
        then error('config_job_levels: mid_pay must lie between min_pay and max_pay at level ' || job_level)
      when min_pay <= min_pay_below or max_pay <= max_pay_below
        then error(
          'config_job_levels: bands may overlap, but min_pay and max_pay must both rise from level '
          || (job_level - 1) || ' to level ' || job_level
        )
      when min_pay > max_pay_below
        then error(
          'config_job_levels: pay between ' || max_pay_below || ' and ' || min_pay || ' USD belongs to no level; level '
          || job_level || ' must start where level ' || (job_level - 1) || ' ends, or below'
        )
      else job_level
    end as checked_level,
    -- Where bands overlap, the middle of the overlap parts the levels of people without one.
    cast((max_pay_below + min_pay) * 0.5 as decimal(18, 2)) as boundary_pay
  from ordered
),

leveled as (
  select
    checked.checked_level as job_level,
    checked.level_name,
    checked.min_pay,
    checked.max_pay,
    coalesce(checked.boundary_pay, 0) as pay_from,
    coalesce(
      lead(checked.boundary_pay) over (order by checked.job_level), cast('9999999999999' as decimal(18, 2))
    ) as pay_below,
    checked.midpoint_pay,
    checked.job_level = checked.top_level as is_top_level,
    pay_percentiles.pay_percentile,
    pay_percentiles.market_multiplier,
    fixed_shares.share as new_hire_share,
    coalesce(
      leaving.multiplier, greatest(termination.level_floor, 1 - termination.level_step * (checked.job_level - 1))
    ) as termination_multiplier,
    coalesce(
      rising.multiplier, greatest(promotion.level_floor, 1 - promotion.level_step * (checked.job_level - 1))
    ) as promotion_multiplier
  from checked
  left join pay_percentiles on checked.job_level = pay_percentiles.job_level
  left join fixed_shares on checked.job_level = fixed_shares.job_level
  left join hazards as termination on termination.hazard = 'termination'
  left join hazards as promotion on promotion.hazard = 'promotion'
  left join level_hazards as leaving on leaving.hazard = 'termination' and checked.job_level = leaving.job_level
  left join level_hazards as rising on rising.hazard = 'promotion' and checked.job_level = rising.job_level
)

select * from leveled
