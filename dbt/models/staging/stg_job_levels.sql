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

checked as (
  select
    *,
    case
      when row_number() over (order by job_level) <> job_level
        then error('config_job_levels must number its levels 1, 2, 3, ... but has level ' || job_level)
      when min_pay >= max_pay
        then error('config_job_levels: min_pay must be below max_pay at level ' || job_level)
      when lag(max_pay) over (order by job_level) <> min_pay
        then error(
          'config_job_levels must have no gaps: level ' || job_level || ' does not start where the level below ends'
        )
      else job_level
    end as checked_level,
    max(job_level) over () as top_level
  from job_levels
),

leveled as (
  select
    checked.checked_level as job_level,
    checked.level_name,
    checked.min_pay,
    checked.max_pay,
    case when checked.job_level = 1 then 0 else checked.min_pay end as pay_from,
    case
      when checked.job_level = checked.top_level then cast('9999999999999' as decimal(18, 2))
      else checked.max_pay
    end as pay_below,
    cast((checked.min_pay + checked.max_pay) * 0.5 as decimal(18, 2)) as midpoint_pay,
    checked.job_level = checked.top_level as is_top_level,
    -- Pay of a new hire before the adjustment lever and the random spread, exact.
    cast(
      (checked.min_pay + (checked.max_pay - checked.min_pay) * pay_percentiles.pay_percentile)
      * pay_percentiles.market_multiplier as decimal(18, 6)
    ) as new_hire_base_pay,
    coalesce(fixed_shares.share, 0) as new_hire_share,
    greatest(termination.level_floor, 1 - termination.level_step * (checked.job_level - 1)) as termination_multiplier,
    greatest(promotion.level_floor, 1 - promotion.level_step * (checked.job_level - 1)) as promotion_multiplier
  from checked
  left join pay_percentiles on checked.job_level = pay_percentiles.job_level
  left join fixed_shares on checked.job_level = fixed_shares.job_level
  left join hazards as termination on termination.hazard = 'termination'
  left join hazards as promotion on promotion.hazard = 'promotion'
)

select * from leveled
