with metrics as (
  select * from {{ ref('config_metrics') }}
),

problems as (
  {{ named_row_problems('config_metrics', 'metric', metric_names(), ['unit', 'horizon_rule', 'description']) }}
),

checked as (
  select
    case
      when found.problem is not null then error(found.problem)
      else metrics.metric
    end as metric,
    metrics.unit,
    metrics.horizon_rule,
    metrics.description
  from (select {{ all_problems('problems') }} as problem) as found
  left join metrics on true
)

select * from checked
