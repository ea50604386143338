-- The linter's grammar lacks `grouping sets`, hence its switches below.
-- Rebuilt from all years and scenarios, so it never holds rows of an overwritten run.
with snapshot as (
  select * from {{ ref('fct_workforce_snapshot') }}
),

pay_bands as (
  select * from {{ ref('fct_salary_structure') }}
),

job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

opening_side as (
  select
    scenario_id,
    simulation_year,
    coalesce(opening_level, 0) as level_key,
    count(*) as headcount_opening,
    sum(opening_salary) as payroll_opening,
    count(*) filter (where promotion_date is not null) as promotions_out
  from snapshot
  where opening_level is not null
  group by grouping sets ((scenario_id, simulation_year, opening_level), (scenario_id, simulation_year)) -- noqa: PRS
),

priced as (
  select
    *,
    {{ full_time_cents("annual_salary", "fte") }} as full_time_cents
  from snapshot
),

closing_side as (
  select
    scenario_id,
    simulation_year,
    coalesce(job_level, 0) as level_key,
    count(*) filter (where opening_level is null) as hires,
    count(*) filter (where not is_active_at_close) as terminations,
    count(*) filter (where promotion_date is not null) as promotions_in,
    count(*) filter (where raise_date is not null) as raises,
    count(*) filter (where is_active_at_close) as headcount_closing,
    sum(annual_salary) filter (where is_active_at_close) as payroll_closing,
    median(annual_salary) filter (where is_active_at_close) as median_pay_closing,
    -- Sums of cents and of their squares are whole numbers, hence exact in any order.
    -- Full-time pay: a part of a job is no lower pay.
    sum(full_time_cents) filter (where is_active_at_close) as cents_closing,
    sum(cast(full_time_cents as hugeint) * full_time_cents) filter (where is_active_at_close) as squared_cents_closing,
    sum(opening_salary) filter (where status = 'continuous_active') as continuous_payroll_opening,
    sum(annual_salary) filter (where status = 'continuous_active') as continuous_payroll_closing,
    count(*) filter (where status = 'continuous_active') as headcount_continuous,
    sum(paid_compensation) as paid_compensation,
    sum(days_employed) as days_employed,
    median(merit_rate) as median_merit_increase
  from priced
  group by grouping sets ((scenario_id, simulation_year, job_level), (scenario_id, simulation_year)) -- noqa: PRS
),

level_spread as (
  select
    closing_side.scenario_id,
    closing_side.simulation_year,
    closing_side.level_key,
    closing_side.headcount_closing,
    sqrt(cast(
      closing_side.headcount_closing * closing_side.squared_cents_closing
      - closing_side.cents_closing * closing_side.cents_closing as double
    )) / cast(closing_side.cents_closing as double) as pay_cv,
    cast(cast(closing_side.cents_closing as decimal(36, 0)) * cast(0.01 as decimal(2, 2)) as double)
    / cast(pay_bands.mid_pay as double) as compa_sum
  from closing_side
  inner join pay_bands
    on
      closing_side.scenario_id = pay_bands.scenario_id
      and closing_side.simulation_year = pay_bands.simulation_year
      and closing_side.level_key = pay_bands.job_level
  where closing_side.headcount_closing > 0
),

spread as (
  select
    scenario_id,
    simulation_year,
    coalesce(level_key, 0) as level_key,
    cast(sum(cast(headcount_closing * pay_cv as decimal(38, 12))) as double)
    / cast(sum(headcount_closing) as double) as pay_equity_cv,
    cast(sum(cast(compa_sum as decimal(38, 12))) as double)
    / cast(sum(headcount_closing) as double) as mean_compa_ratio
  from level_spread
  group by grouping sets ((scenario_id, simulation_year, level_key), (scenario_id, simulation_year)) -- noqa: PRS
),

levels as (
  select 0 as level_key
  union all
  select job_level as level_key from job_levels
),

years as (
  select distinct
    scenario_id,
    simulation_year
  from closing_side
),

measured as (
  select
    years.scenario_id,
    years.simulation_year,
    nullif(levels.level_key, 0) as job_level,
    coalesce(opening_side.headcount_opening, 0) as headcount_opening,
    coalesce(closing_side.hires, 0) as hires,
    coalesce(closing_side.terminations, 0) as terminations,
    coalesce(closing_side.promotions_in, 0) as promotions_in,
    coalesce(opening_side.promotions_out, 0) as promotions_out,
    coalesce(closing_side.raises, 0) as raises,
    coalesce(closing_side.headcount_closing, 0) as headcount_closing,
    coalesce(opening_side.payroll_opening, 0) as payroll_opening,
    coalesce(closing_side.payroll_closing, 0) as payroll_closing,
    coalesce(closing_side.paid_compensation, 0) as paid_compensation,
    coalesce(closing_side.days_employed, 0) as days_employed,
    cast(opening_side.payroll_opening as double) / opening_side.headcount_opening as average_pay_opening,
    cast(closing_side.payroll_closing as double) / nullif(closing_side.headcount_closing, 0) as average_pay_closing,
    cast(closing_side.median_pay_closing as double) as median_pay_closing,
    cast(closing_side.continuous_payroll_closing as double)
    / cast(closing_side.continuous_payroll_opening as double) - 1 as growth_continuous,
    cast(closing_side.paid_compensation as double) / closing_side.days_employed
    * (make_date(years.simulation_year, 12, 31) - make_date(years.simulation_year, 1, 1) + 1)
      as full_year_equivalent_pay,
    cast(closing_side.continuous_payroll_closing as double)
    / nullif(closing_side.headcount_continuous, 0) as average_pay_continuous,
    closing_side.median_merit_increase,
    spread.pay_equity_cv,
    spread.mean_compa_ratio
  from years
  cross join levels
  left join opening_side
    on
      years.scenario_id = opening_side.scenario_id
      and years.simulation_year = opening_side.simulation_year
      and levels.level_key = opening_side.level_key
  left join closing_side
    on
      years.scenario_id = closing_side.scenario_id
      and years.simulation_year = closing_side.simulation_year
      and levels.level_key = closing_side.level_key
  left join spread
    on
      years.scenario_id = spread.scenario_id
      and years.simulation_year = spread.simulation_year
      and levels.level_key = spread.level_key
),

compared as (
  select
    concat(scenario_id, '/', simulation_year, '/', coalesce(cast(job_level as varchar), 'all')) as growth_id,
    scenario_id,
    simulation_year,
    job_level,
    headcount_opening,
    hires,
    terminations,
    promotions_in,
    promotions_out,
    headcount_closing,
    raises,
    cast(payroll_opening as decimal(38, 2)) as payroll_opening,
    cast(payroll_closing as decimal(38, 2)) as payroll_closing,
    cast(paid_compensation as decimal(38, 2)) as paid_compensation,
    cast(days_employed as bigint) as days_employed,
    average_pay_opening,
    average_pay_closing,
    median_pay_closing,
    average_pay_closing / average_pay_opening - 1 as growth_all,
    growth_continuous,
    full_year_equivalent_pay,
    full_year_equivalent_pay / lag(full_year_equivalent_pay) over (
      partition by scenario_id, job_level order by simulation_year
    ) - 1 as growth_full_year_equivalent,
    average_pay_closing / average_pay_continuous - 1 as new_hire_dilution,
    median_merit_increase,
    pay_equity_cv,
    mean_compa_ratio
  from measured
)

select * from compared
