{%- set has_level_ages = choice("new_hire_ages", ["company", "level"]) == "'level'" -%}
{%- set has_ftes = choice("new_hire_fte", ["full", "census"]) == "'census'" -%}
{%- set own_columns = (["is_backfill"] if has_backfill() else []) + (["hire_fte"] if has_ftes else []) -%}
{%- set pay_cents = cents_times(
  "offers.base_pay_millionths",
  rate_units("offers.salary_adjustment * (1 + " ~ var("new_hire_pay_spread") ~ " * (hired.pay_draw - 0.5))"),
  places=6
) -%}
-- depends_on: {{ ref('stg_new_hire_ages') }}, {{ ref('stg_level_hire_ages') }}, {{ ref('int_vacancies') }}
-- depends_on: {{ ref('stg_hire_ftes') }}
with hiring_plan as (
  select * from {{ ref('int_hiring_plan') }}
),

headcount_plan as (
  select * from {{ ref('int_headcount_plan') }}
),

pay_bands as (
  select * from {{ this_years_structure() }}
),

salary_adjustments as (
  select * from {{ level_levers('new_hire_salary_adjustment') }}
),

offers as (
  select
    {{ within_ranges('pay_bands.job_level', [
      ('new_hire_minimum_days', 1, 300), ('new_hire_protected_month', 2, 12), ('new_hire_pay_spread', 0, 1),
    ]) }} as job_level,
    -- Whole millionths of USD. Wide, because DuckDB lets 18 digits overflow.
    cast(cast(pay_bands.new_hire_base_pay as decimal(28, 6)) * 1000000 as bigint) as base_pay_millionths,
    salary_adjustments.parameter_value as salary_adjustment
  from pay_bands
  inner join salary_adjustments on pay_bands.job_level = salary_adjustments.job_level
),

new_hire_ages as (
  select * from {{ ref('stg_level_hire_ages') if has_level_ages else ref('stg_new_hire_ages') }}
),

hire_groups as (
  select * from {{ ref('stg_hire_groups') }}
),

accepted_offers as (
  select * from {{ ref('int_accepted_offers') }}
),

numbered as (
  select
    job_level,
    {%- if has_backfill() %}
    first_sequence,
    {%- endif %}
    unnest(range(first_sequence, first_sequence + hires)) as hire_sequence
  from hiring_plan
),

named as (
  select
    job_level,
    {%- if has_backfill() %}
    first_sequence,
    {%- endif %}
    hire_sequence,
    printf('NH_%d_%06d', {{ simulation_year() }}, hire_sequence) as employee_id
  from numbered
),

keyed as (
  select
    *,
    {{ person_key_high("employee_id") }} as key_high,
    {{ person_key_low("employee_id") }} as key_low
  from named
),

drawn as (
  select
    *,
    {{ draw("hire_day") }} as day_draw,
    {{ slot(draw("hire_age")) }} as age_slot,
    {{ draw("hire_birthday") }} as birthday_draw,
    {{ draw("hire_pay") }} as pay_draw,
    {{ draw("hire_department") }} as department_draw,
    {{ draw("hire_gender") }} as gender_draw,
    {%- if has_ftes %}
    {{ draw("hire_fte") }} as fte_draw,
    {%- endif %}
    {{ draw("hire_termination") }} as termination_draw,
    {{ draw("hire_departure_day") }} as departure_draw,
    -- Who is hired later cannot stay the minimum days and still leave inside the year.
    least(
      {{ year_end() }} - {{ var("new_hire_minimum_days") }},
      make_date({{ simulation_year() }}, {{ var("new_hire_protected_month") }}, 1) - 1
    ) as last_day_to_leave_from
  from keyed
),

dated as (
  {%- if has_backfill() %}
  -- The hires of a level fill its vacancies in their order; the others are growth.
  select
    drawn.*,
    vacancies.place is not null as is_backfill,
    coalesce(vacancies.fill_date, {{ day_of_year("drawn.day_draw") }}) as drawn_hire_date
  from drawn
  left join {{ ref('int_vacancies') }} as vacancies
    on drawn.job_level = vacancies.job_level and drawn.hire_sequence - drawn.first_sequence = vacancies.place
  {%- else %}
  select
    *,
    {{ day_of_year("day_draw") }} as drawn_hire_date
  from drawn
  {%- endif %}
),

ranked as (
  select
    dated.*,
    row_number() over (
      order by dated.drawn_hire_date > dated.last_day_to_leave_from, dated.termination_draw, dated.employee_id
    ) <= headcount_plan.new_hire_terminations as is_leaving
  from dated
  cross join headcount_plan
),

-- In a very small company all hires may fall into the protected month although some must
-- leave; their day is then drawn anew before it, so that the headcount target still holds.
hired as (
  select
    *,
    case
      when is_leaving and drawn_hire_date > last_day_to_leave_from
        then {{ year_start() }} + cast(floor(day_draw * (last_day_to_leave_from - {{ year_start() }} + 1)) as integer)
      else drawn_hire_date
    end as hire_date
  from ranked
),

described as (
  select
    hired.employee_id,
    hired.key_high,
    hired.key_low,
    hired.hire_sequence,
    hired.job_level,
    cast(hired.hire_date - to_years(new_hire_ages.age) as date)
    - cast(floor(hired.birthday_draw * 365) as integer) as birth_date,
    hired.hire_date,
    case
      when hired.is_leaving
        then
          hired.hire_date + {{ var("new_hire_minimum_days") }}
          + cast(floor(
            hired.departure_draw * ({{ year_end() }} - hired.hire_date - {{ var("new_hire_minimum_days") }} + 1)
          ) as integer)
    end as termination_date,
    hire_groups.department,
    hire_groups.gender,
    {%- if has_backfill() %}
    hired.is_backfill,
    {%- endif %}
    {%- if has_ftes %}
    hire_ftes.fte as hire_fte, -- noqa: RF01
    {%- endif %}
    {{ dollars(cents_times(pay_cents, rate_units("hire_ftes.fte")) if has_ftes else pay_cents) }} as annual_salary
  from hired
  inner join offers on hired.job_level = offers.job_level
  {%- if has_level_ages %}
  inner join new_hire_ages
    on
      hired.age_slot = new_hire_ages.slot
      and hired.job_level = new_hire_ages.job_level
  {%- else %}
  inner join new_hire_ages on hired.age_slot = new_hire_ages.slot
  {%- endif %}
  {%- if has_ftes %}
  inner join {{ ref('stg_hire_ftes') }} as hire_ftes
    on
      hired.job_level = hire_ftes.job_level
      and hired.fte_draw >= hire_ftes.fte_from
      and hired.fte_draw < hire_ftes.fte_below
  {%- endif %}
  inner join hire_groups
    on
      hired.job_level = hire_groups.job_level
      and hired.department_draw >= hire_groups.department_from
      and hired.department_draw < hire_groups.department_below
      and hired.gender_draw >= hire_groups.gender_from
      and hired.gender_draw < hire_groups.gender_below
),

everyone as (
  select
    *{{ " exclude (" ~ own_columns | join(", ") ~ ")" if own_columns }},
    {%- if has_backfill() %}
    case when is_backfill then 'backfill' else 'growth' end as reason,
    {%- else %}
    'growth_and_replacement' as reason,
    {%- endif %}
    {{ "hire_fte" if has_ftes else "cast(1 as decimal(6, 4))" }} as fte,
    case
      when termination_date is not null then {{ leaving_status('new_hire_termination', 'new_hire_dismissal') }}
    end as leave_reason,
    cast(null as date) as known_termination_date
  from described
  union all
  select * from accepted_offers
)

select * from everyone
