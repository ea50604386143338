{#- What a person costs the employer in a year. With employment_cost off it is the pay alone. -#}
{%- set is_loaded = choice("employment_cost", ["off", "seed"]) == "'seed'" -%}
with snapshot as (
  select * from {{ ref('fct_workforce_snapshot') }}
),

rates as (
  select
    job_level,
    {%- for rate in employment_cost_rates() %}
    {{ rate_units(rate if is_loaded else 0) }} as {{ rate }},
    {%- endfor %}
    {{ "severance_weeks_min" if is_loaded else "0" }} as severance_weeks_min,
    {{ "severance_weeks_max" if is_loaded else "0" }} as severance_weeks_max
  from {{ ref('stg_employment_cost') }}
),

paid as (
  select
    snapshot.scenario_id,
    snapshot.simulation_year,
    snapshot.employee_id,
    snapshot.job_level,
    snapshot.department,
    {{ cents("snapshot.paid_compensation - snapshot.lump_sum") }} as base_cents,
    {{ cents("snapshot.lump_sum") }} as lump_cents,
    case when snapshot.opening_level is null then {{ cents("snapshot.annual_salary") }} else 0 end as hired_cents,
    -- Weeks in ten-billionths of a year of 52 weeks, for people whom the company lets go.
    case
      when snapshot.status in ('reduction', 'dismissal', 'new_hire_dismissal')
        then
          least(
            cast(rates.severance_weeks_max as bigint) * 10000000000,
            greatest(
              cast(rates.severance_weeks_min as bigint) * 10000000000,
              rates.severance_weeks_per_year * coalesce(snapshot.tenure, 0)
            )
          ) // 52
      else 0
    end as severance_units,
    {{ cents("snapshot.annual_salary") }} as salary_cents,
    rates.bonus_target,
    rates.benefit_load,
    rates.employer_rate,
    rates.hiring_cost_rate
  from snapshot
  inner join rates on snapshot.job_level = rates.job_level
),

rewarded as (
  select
    *,
    {{ cents_times("base_cents", "bonus_target") }} as bonus_cents,
    {{ cents_times("base_cents", "benefit_load") }} as benefit_cents,
    {{ cents_times("hired_cents", "hiring_cost_rate") }} as hiring_cents,
    {{ cents_times("salary_cents", "severance_units") }} as severance_cents
  from paid
),

charged as (
  select
    *,
    {{ cents_times("(base_cents + lump_cents + bonus_cents + severance_cents)", "employer_rate") }} as employer_cents
  from rewarded
),

costs as (
  select
    scenario_id,
    simulation_year,
    employee_id,
    job_level,
    department,
    {{ dollars("base_cents") }} as base_pay,
    {{ dollars("lump_cents") }} as lump_sum,
    {{ dollars("bonus_cents") }} as bonus,
    {{ dollars("benefit_cents") }} as benefits,
    {{ dollars("employer_cents") }} as employer_cost,
    {{ dollars("hiring_cents") }} as hiring_cost,
    {{ dollars("severance_cents") }} as severance,
    {{ dollars(
      "(base_cents + lump_cents + bonus_cents + benefit_cents + employer_cents + hiring_cents + severance_cents)"
    ) }} as loaded_cost
  from charged
)

select * from costs
