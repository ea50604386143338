-- depends_on: {{ ref('int_promotion_decisions') }}
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

{% if var("hiring_level_mix") == "positions" -%}
promoted as (
  select decisions.*
  from {{ ref('int_promotion_decisions') }} as decisions
  anti join termination_events on decisions.employee_id = termination_events.employee_id
),

moves as (
  select
    level_before as job_level,
    -1 as people
  from promoted
  union all
  select
    level_after as job_level,
    1 as people
  from promoted
),

-- Positions are kept: each level is refilled to its share of the opening headcount, after the people
-- who left and the promotions into and out of it. In units of 1 / opening headcount.
opening as (
  select
    job_level,
    count(*) as people
  from opening_workforce
  group by job_level
),

counted as (
  select * from stayers
  union all
  select * from moves
),

filled as (
  select
    job_level,
    sum(people) as people
  from counted
  group by job_level
),

vacancies as ( -- noqa: ST03
  select
    opening.job_level,
    greatest(
      0,
      headcount_plan.target_headcount * opening.people
      - headcount_plan.opening_headcount * coalesce(filled.people, 0)
    ) as vacancy
  from opening
  cross join headcount_plan
  left join filled on opening.job_level = filled.job_level
),

{% endif -%}
-- Whole-number weights keep the quotas exact: people, or shares in ten-thousandths.
weighted as (
  select
    job_levels.job_level,
    cast(
      case
        when {{ hiring_level_mix() }} = 'fixed'
          then job_levels.new_hire_share * 10000
        {%- if var("hiring_level_mix") == "positions" %}
        when {{ hiring_level_mix() }} = 'positions' then coalesce(vacancies.vacancy, 0) -- noqa: RF01
        {%- endif %}
        else coalesce(stayers.people, 0)
      end as bigint
    ) as weight
  from job_levels
  left join stayers on job_levels.job_level = stayers.job_level
  {%- if var("hiring_level_mix") == "positions" %}
  left join vacancies on job_levels.job_level = vacancies.job_level -- noqa: ST11
  {%- endif %}
),

totaled as (
  select
    weighted.job_level,
    headcount_plan.hires,
    weighted.weight,
    case
      when {{ hiring_level_mix() }} = 'fixed' and sum(weighted.weight) over () <> 10000
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
