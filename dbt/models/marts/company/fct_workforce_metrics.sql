{#- What a total-rewards team asks of a year: per job level, per department and in all, and for the horizon
    (the sum of loaded_cost, the last year of the rest). Sums are of decimals or whole numbers, so that no
    order of rows changes a digit. -#}
with snapshot as (
  select * from {{ ref('fct_workforce_snapshot') }}
),

pay_bands as (
  select * from {{ ref('fct_salary_structure') }}
),

costs as (
  select * from {{ ref('fct_employment_cost') }}
),

increases as (
  select
    scenario_id,
    simulation_year,
    employee_id,
    sum(pay_after - pay_before) as increase
  from {{ ref('fct_yearly_events') }}
  where event_type in ('adjustment', 'raise')
  group by scenario_id, simulation_year, employee_id
),

placed as (
  select
    snapshot.*,
    costs.loaded_cost,
    coalesce(increases.increase, 0) + snapshot.lump_sum as increase_pool,
    {{ cents("snapshot.annual_salary") }} as pay_cents,
    {{ part_time("pay_bands.min_pay", "snapshot.fte") }} as minimum_cents,
    {{ part_time("pay_bands.max_pay", "snapshot.fte") }} as maximum_cents,
    cast(snapshot.annual_salary as double) / (cast(pay_bands.mid_pay as double) * cast(snapshot.fte as double))
      as compa_ratio,
    (cast(snapshot.annual_salary as double) / cast(snapshot.fte as double) - cast(pay_bands.min_pay as double))
    / (cast(pay_bands.max_pay as double) - cast(pay_bands.min_pay as double)) as penetration,
    cast(snapshot.annual_salary as double) / cast(snapshot.fte as double) as full_time_pay
  from snapshot
  inner join pay_bands
    on
      snapshot.scenario_id = pay_bands.scenario_id
      and snapshot.simulation_year = pay_bands.simulation_year
      and snapshot.job_level = pay_bands.job_level
  inner join costs
    on
      snapshot.scenario_id = costs.scenario_id
      and snapshot.simulation_year = costs.simulation_year
      and snapshot.employee_id = costs.employee_id
  left join increases
    on
      snapshot.scenario_id = increases.scenario_id
      and snapshot.simulation_year = increases.simulation_year
      and snapshot.employee_id = increases.employee_id
),

-- Everyone once in all, once in a level and once in a department; cell tells them apart.
cells as (
  select
    'all' as cell,
    *
  from placed
  union all
  select
    'level ' || job_level as cell,
    *
  from placed
  union all
  select
    'department ' || department as cell,
    *
  from placed
  where department is not null
),

ranked as (
  select
    *,
    row_number() over (
      partition by scenario_id, simulation_year, cell, is_active_at_close order by pay_cents, employee_id
    ) as pay_rank
  from cells
),

summed as (
  select
    scenario_id,
    simulation_year,
    cell,
    count(*) filter (where is_active_at_close) as people,
    count(*) filter (where not is_active_at_close) as leavers,
    -- Known last days tell no reason; they count as voluntary, as resignations handed in.
    count(*) filter (
      where status in ('experienced_termination', 'new_hire_termination', 'known_termination')
    ) as voluntary_leavers,
    count(*) filter (where status in ('dismissal', 'new_hire_dismissal', 'reduction')) as involuntary_leavers,
    count(*) filter (where status = 'retirement') as retirements,
    count(*) filter (where is_active_at_close and pay_cents < minimum_cents) as below_minimum,
    count(*) filter (where is_active_at_close and pay_cents > maximum_cents) as above_maximum,
    coalesce(sum(minimum_cents - pay_cents) filter (where is_active_at_close and pay_cents < minimum_cents), 0)
      as cents_to_minimum,
    quantile_cont(compa_ratio, 0.1) filter (where is_active_at_close) as compa_ratio_p10,
    quantile_cont(compa_ratio, 0.5) filter (where is_active_at_close) as compa_ratio_p50,
    quantile_cont(compa_ratio, 0.9) filter (where is_active_at_close) as compa_ratio_p90,
    sum(cast(penetration as decimal(38, 12))) filter (where is_active_at_close) as penetration,
    sum(cast(pay_cents as hugeint) * 2 * pay_rank) filter (where is_active_at_close) as ranked_cents,
    sum(cast(pay_cents as hugeint)) filter (where is_active_at_close) as pay_cents,
    median(full_time_pay) filter (where is_active_at_close and opening_level is null) as new_hire_pay,
    median(full_time_pay) filter (where is_active_at_close and opening_level is not null) as other_pay,
    cast(sum(opening_salary) as double) as opening_payroll,
    cast(sum(annual_salary) filter (where is_active_at_close) as double) as closing_payroll,
    cast(sum(increase_pool) as double) as increase_pool,
    sum(loaded_cost) as loaded_cost,
    cast(sum(days_employed) as double)
    / (make_date(simulation_year, 12, 31) - make_date(simulation_year, 1, 1) + 1) as average_headcount
  from ranked
  group by scenario_id, simulation_year, cell
),

first_years as (
  select
    scenario_id,
    min(simulation_year) as simulation_year
  from summed
  group by scenario_id
),

gaps as (
  select
    scenario_id,
    simulation_year,
    case when job_level is null then 'all' else 'level ' || job_level end as cell,
    median_gap,
    median_gap_within_levels
  from {{ ref('fct_pay_equity') }}
  where gender <> reference_gender
  -- Of several groups the largest beside the reference.
  qualify row_number() over (
    partition by scenario_id, simulation_year, job_level order by headcount desc, gender asc
  ) = 1
),

yearly as (
  select
    summed.scenario_id,
    summed.simulation_year,
    summed.cell,
    cast(summed.below_minimum as double) as below_minimum_count,
    summed.below_minimum / nullif(summed.people, 0) as below_minimum_share,
    cast(summed.cents_to_minimum as double) / 100 as cost_to_minimum,
    summed.above_maximum / nullif(summed.people, 0) as above_maximum_share,
    summed.compa_ratio_p10,
    summed.compa_ratio_p50,
    summed.compa_ratio_p90,
    cast(summed.penetration as double) / nullif(summed.people, 0) as range_penetration,
    cast(summed.ranked_cents - (summed.people + 1) * summed.pay_cents as double)
    / nullif(cast(summed.people * summed.pay_cents as double), 0) as gini,
    summed.new_hire_pay / summed.other_pay as new_hire_compression,
    -- A level or department that was empty on the first January 1 has no base; one that emptied has no payroll.
    coalesce(summed.closing_payroll, 0) / first_value(
      case when summed.simulation_year = first_years.simulation_year then summed.opening_payroll end
    ) over (partition by summed.scenario_id, summed.cell order by summed.simulation_year) - 1 as payroll_growth_vs_base,
    summed.increase_pool / summed.opening_payroll as increase_pool_pct,
    cast(summed.loaded_cost as double) as loaded_cost,
    summed.average_headcount,
    summed.leavers / nullif(summed.average_headcount, 0) as turnover,
    summed.voluntary_leavers / nullif(summed.average_headcount, 0) as voluntary_turnover,
    summed.involuntary_leavers / nullif(summed.average_headcount, 0) as involuntary_turnover,
    summed.retirements / nullif(summed.average_headcount, 0) as retirement_rate,
    gaps.median_gap as gender_pay_gap_median,
    gaps.median_gap_within_levels as gender_pay_gap_within_levels
  from summed
  inner join first_years on summed.scenario_id = first_years.scenario_id
  left join gaps
    on
      summed.scenario_id = gaps.scenario_id
      and summed.simulation_year = gaps.simulation_year
      and summed.cell = gaps.cell
),

all_costs as (
  select
    scenario_id,
    cell,
    cast(sum(loaded_cost) as double) as loaded_cost
  from summed
  group by scenario_id, cell
),

horizon as (
  select yearly.* replace (all_costs.loaded_cost as loaded_cost)
  from yearly
  inner join all_costs on yearly.scenario_id = all_costs.scenario_id and yearly.cell = all_costs.cell
  qualify yearly.simulation_year = max(yearly.simulation_year) over (partition by yearly.scenario_id)
),

periods as (
  select
    *,
    cast(simulation_year as varchar) as period
  from yearly
  union all
  select
    *,
    'horizon' as period
  from horizon
),

measured as (
  {%- for metric in workforce_metrics() %}
  select
    scenario_id,
    period,
    cell,
    '{{ metric[0] }}' as metric,
    {{ metric[0] }} as value,
    '{{ metric[1] }}' as unit
  from periods
  {{ "union all" if not loop.last }}
  {%- endfor %}
),

metrics as (
  select
    concat(scenario_id, '/', period, '/', cell, '/', metric) as metric_id,
    scenario_id,
    period,
    case when cell like 'level %' then cast(substr(cell, 7) as integer) end as job_level,
    case when cell like 'department %' then substr(cell, 12) end as department,
    metric,
    value,
    unit
  from measured
)

select * from metrics
