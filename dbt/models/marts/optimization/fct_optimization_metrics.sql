{%- set metrics = metric_names() -%}

with growth as (
  select * from {{ ref('fct_compensation_growth') }}
),

snapshot as (
  select * from {{ ref('fct_workforce_snapshot') }}
),

metric_definitions as (
  select * from {{ ref('stg_metrics') }}
),

targets as (
  select * from {{ ref('stg_comp_targets') }}
),

last_years as (
  select
    scenario_id,
    max(simulation_year) as last_year
  from growth
  group by scenario_id
),

yearly as (
  select
    scenario_id,
    simulation_year,
    job_level,
    cast(simulation_year as varchar) as period,
    cast(paid_compensation as double) as total_compensation_cost,
    average_pay_closing as average_compensation,
    median_pay_closing as median_compensation,
    growth_all as compensation_growth_rate,
    median_merit_increase,
    promotions_out / headcount_opening as promotion_rate,
    cast(headcount_closing as double) as closing_headcount,
    pay_equity_cv,
    mean_compa_ratio
  from growth
),

horizon_merit as (
  select
    scenario_id,
    median(merit_rate) as median_merit_increase
  from snapshot
  group by scenario_id
),

-- Flows are added up, states are those of the last year, growth is the mean of the years.
horizon_flows as (
  select
    scenario_id,
    cast(sum(paid_compensation) as double) as total_compensation_cost,
    -- Averaged as decimals: the order of the years cannot change the last digit.
    cast(sum(cast(growth_all as decimal(38, 15))) as double) / count(growth_all) as compensation_growth_rate,
    cast(sum(promotions_out) as double) / cast(sum(headcount_opening) as double) as promotion_rate
  from growth
  where job_level is null
  group by scenario_id
),

horizon as (
  select
    yearly.scenario_id,
    cast(null as integer) as simulation_year,
    yearly.job_level,
    'horizon' as period,
    horizon_flows.total_compensation_cost,
    yearly.average_compensation,
    yearly.median_compensation,
    horizon_flows.compensation_growth_rate,
    horizon_merit.median_merit_increase,
    horizon_flows.promotion_rate,
    yearly.closing_headcount,
    yearly.pay_equity_cv,
    yearly.mean_compa_ratio
  from yearly
  inner join last_years
    on
      yearly.scenario_id = last_years.scenario_id
      and yearly.simulation_year = last_years.last_year
  inner join horizon_flows on yearly.scenario_id = horizon_flows.scenario_id
  inner join horizon_merit on yearly.scenario_id = horizon_merit.scenario_id
),

periods as (
  select * from yearly
  union all
  select * from horizon
),

measured as (
  {%- for metric in metrics %}
  select
    scenario_id,
    simulation_year,
    job_level,
    period,
    '{{ metric }}' as metric,
    {{ metric }} as metric_value
  from periods
  {{ "union all" if not loop.last }}
  {%- endfor %}
),

-- By level only the median is a metric; the rest by level stands in fct_compensation_growth.
reported as (
  select * from measured
  where job_level is null or metric = 'median_compensation'
),

-- A scenario with targets of its own, such as those of its study, is judged by them alone; any other by
-- those of the default scenario.
targeted as (
  select
    reported.*,
    coalesce(own_target.target_value, default_target.target_value) as target_value,
    coalesce(own_target.tolerance, default_target.tolerance) as tolerance,
    coalesce(own_target.priority, default_target.priority) as priority
  from reported
  left join targets as own_target
    on
      reported.scenario_id = own_target.scenario_id
      and reported.metric = own_target.metric
      and reported.simulation_year is not distinct from own_target.fiscal_year
      and reported.job_level is not distinct from own_target.job_level
  left join targets as default_target
    on
      default_target.scenario_id = 'default'
      and reported.scenario_id not in (select targets.scenario_id from targets)
      and reported.metric = default_target.metric
      and reported.simulation_year is not distinct from default_target.fiscal_year
      and reported.job_level is not distinct from default_target.job_level
),

compared as (
  select
    *,
    metric_value / target_value - 1 as variance
  from targeted
),

judged as (
  select
    concat(
      compared.scenario_id, '/', compared.period, '/', coalesce(cast(compared.job_level as varchar), 'all'), '/',
      compared.metric
    ) as metric_id,
    compared.scenario_id,
    compared.period,
    compared.simulation_year,
    compared.job_level,
    cast(compared.metric as varchar) as metric,
    compared.metric_value as value,
    metric_definitions.unit,
    compared.target_value,
    compared.tolerance,
    compared.priority,
    compared.variance,
    case
      when compared.variance is null then null
      when abs(compared.variance) <= compared.tolerance then 'met'
      when compared.metric_value > compared.target_value then 'above'
      else 'below'
    end as verdict
  from compared
  inner join metric_definitions on compared.metric = metric_definitions.metric
)

select * from judged
