with opening_workforce as (
  select * from {{ ref('int_opening_workforce') }}
),

termination_events as (
  select * from {{ ref('int_termination_events') }}
),

headcount_plan as (
  select * from {{ ref('int_headcount_plan') }}
),

job_levels as (
  select * from {{ ref('stg_job_levels') }}
),

changes as (
  select
    job_level,
    count(*) as people
  from opening_workforce
  group by job_level
  union all
  select
    job_level,
    -count(*) as people
  from termination_events
  group by job_level
),

stayers as (
  select
    job_level,
    sum(people) as people
  from changes
  group by job_level
),

-- Whole-number weights keep the quotas exact: people, or shares in ten-thousandths.
weighted as (
  select
    job_levels.job_level,
    cast(
      case
        when {{ choice("hiring_level_mix", ["stayers", "fixed"]) }} = 'fixed'
          then job_levels.new_hire_share * 10000
        else coalesce(stayers.people, 0)
      end as bigint
    ) as weight
  from job_levels
  left join stayers on job_levels.job_level = stayers.job_level
),

totaled as (
  select
    weighted.job_level,
    headcount_plan.hires,
    weighted.weight,
    case
      when {{ choice("hiring_level_mix", ["stayers", "fixed"]) }} = 'fixed' and sum(weighted.weight) over () <> 10000
        then error('Shares in config_new_hire_levels must sum to 1 over the job levels')
      -- With every person gone there is nobody to mirror; hire into the lowest level.
      else greatest(sum(weighted.weight) over (), 1)
    end as total_weight
  from weighted
  cross join headcount_plan
),

quotas as (
  select
    job_level,
    hires,
    hires * weight // total_weight as whole_hires,
    hires * weight % total_weight as remainder
  from totaled
),

allotted as (
  select
    job_level,
    whole_hires
    + case
      when row_number() over (order by remainder desc, job_level asc) <= hires - sum(whole_hires) over () then 1
      else 0
    end as hires
  from quotas
),

numbered as (
  select
    job_level,
    cast(hires as bigint) as hires,
    cast(sum(hires) over (order by job_level) - hires + 1 as bigint) as first_sequence
  from allotted
)

select * from numbered
