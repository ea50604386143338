{%- macro census_draw(stream) -%}
{{ draw(stream, year=var("start_year"), seed=var("census_seed")) }}
{%- endmacro -%}

{%- macro sample_census(employees) -%}
  {#- SQL of a generated census: a level pyramid, service that grows with age, pay that grows
      with service inside the band of the level, and some people who have already left.
      Only exact arithmetic, division and multiplication of doubles: the same rows everywhere. -#}
  {%- set size = employees | int(-1) -%}
  {%- if size < 100 or size > 1000000 or size | string != employees | string -%}
    {{ exceptions.raise_compiler_error(
      "The sample census holds 100 to 1,000,000 employees (a whole number), got '" ~ employees
      ~ "'. Change census_employees, or the employees argument."
    ) }}
  {%- endif -%}
  {%- set levels = var("sample_census_levels") -%}
  {%- set departments = var("sample_census_departments") -%}
  {%- set census_date = "make_date(" ~ var("start_year") ~ ", 1, 1)" -%}
with numbered as (
  select
    printf('EMP_%07d', cast(number as integer)) as employee_id
  from unnest(range(1, {{ size }} + 1)) as numbers (number)
),

keyed as (
  select
    employee_id,
    {{ person_key_high("employee_id") }} as key_high,
    {{ person_key_low("employee_id") }} as key_low
  from numbered
),

drawn as (
  select
    employee_id,
    {{ census_draw("census_level") }} as level_draw,
    {{ census_draw("census_age") }} as age_draw,
    {{ census_draw("census_tenure") }} as tenure_draw,
    {{ census_draw("census_pay") }} as pay_draw,
    {{ census_draw("census_department") }} as department_draw,
    {{ census_draw("census_former") }} as former_draw,
    {{ census_draw("census_departure_day") }} as departure_draw
  from keyed
),

pyramid (job_level, lower_draw, upper_draw, pay_low, pay_high, entry_age, tenure_scale) as (
  values
  {%- set lower = namespace(share=0) %}
  {%- for level in levels %}
  (
    {{ level.job_level }}, {{ lower.share | round(6) }}, {{ 1 if loop.last else (lower.share + level.share) | round(6) }},
    {{ level.pay_low }}, {{ level.pay_high }}, {{ level.entry_age }}, {{ level.tenure_scale }}
  ){{ "," if not loop.last }}
  {%- set lower.share = lower.share + level.share %}
  {%- endfor %}
),

aged as (
  select
    drawn.*,
    pyramid.* exclude (lower_draw, upper_draw),
    pyramid.entry_age
    + (66 - pyramid.entry_age) * drawn.age_draw * (cast(0.6 as double) + cast(0.4 as double) * drawn.age_draw)
      as age
  from drawn
  inner join pyramid
    on drawn.level_draw >= pyramid.lower_draw and drawn.level_draw < pyramid.upper_draw
),

served as (
  select
    *,
    least(2 * tenure_scale, age - entry_age)
    * tenure_draw * (cast(0.3 as double) + cast(0.7 as double) * tenure_draw) as tenure
  from aged
),

dated as (
  select
    *,
    {{ census_date }} - 1 - cast(floor(age * 365.25) as integer) as birth_date,
    {{ census_date }} - 1 - cast(floor(tenure * 365.25) as integer) as hire_date
  from served
)

select
  employee_id,
  birth_date,
  hire_date,
  case
    when former_draw < {{ var("sample_census_former_share") }}
      then hire_date + cast(floor(departure_draw * ({{ census_date }} - hire_date)) as integer)
  end as termination_date,
  cast(
    floor(pay_low + (pay_high - pay_low) * (cast(0.6 as double) * pay_draw + cast(0.4 as double) * tenure / (tenure + 8)))
    as decimal(18, 2)
  ) as annual_salary,
  cast(job_level as integer) as job_level,
  (['{{ departments | join("', '") }}'])[1 + cast(floor(department_draw * {{ departments | length }}) as integer)]
    as department
from dated
order by employee_id
{%- endmacro -%}

{%- macro write_sample_census(employees=none, path="data/census.parquet") -%}
  {#- dbt run-operation write_sample_census --args '{employees: 20000, path: census.parquet}' -#}
  {%- set size = var("census_employees") if employees is none else employees -%}
  {%- set lowered = path | lower -%}
  {%- if lowered.endswith(".parquet") -%}
    {%- set options = "format parquet" -%}
  {%- elif lowered.endswith(".csv") -%}
    {%- set options = "format csv, header" -%}
  {%- else -%}
    {{ exceptions.raise_compiler_error("path must end in .csv or .parquet, got '" ~ path ~ "'.") }}
  {%- endif -%}
  {%- if execute -%}
    {%- set query = sample_census(size) -%}
    {%- set file = project_file(path) -%}
    {%- do run_query("copy (" ~ query ~ ") to '" ~ file | replace("'", "''") ~ "' (" ~ options ~ ")") -%}
    {{ log("Wrote " ~ size ~ " employees to " ~ file, info=true) }}
  {%- endif -%}
{%- endmacro -%}

{%- macro project_file(path) -%}
  {#- A path as DuckDB must be told it: relative paths count from the project directory, also
      when dbt was started elsewhere. -#}
  {%- if path.startswith("/") or modules.re.match("[A-Za-z]:[/\\\\]", path) or not flags.PROJECT_DIR -%}
    {{ return(path) }}
  {%- endif -%}
  {{ return(flags.PROJECT_DIR ~ "/" ~ path) }}
{%- endmacro -%}
