{#- Reads a census of the user's own and stops the build before anything is simulated when it
    holds a mistake. Every problem of the file is named at once, each with what is allowed, how
    many rows have it and up to three examples. -#}

{%- macro own_census(path) -%}
  {%- set file = project_file(path | string) | replace("'", "''") -%}
  {%- if execute -%}
    {%- set columns = census_columns(path, file) -%}
    {%- do check_census(path, file, columns) -%}
  {%- else -%}
    {%- set columns = [] -%}
  {%- endif %}
  select
    employee_id,
    cast(birth_date as date) as birth_date,
    cast(hire_date as date) as hire_date,
    cast(termination_date as date) as termination_date,
    cast(annual_salary as decimal(18, 2)) as annual_salary,
    cast(job_level as integer) as job_level,
    department
  from ({{ census_text(file, columns) }})
{%- endmacro -%}

{%- macro census_source(file) -%}
  {%- if (file | lower).endswith(".parquet") -%}
read_parquet('{{ file }}')
  {%- else -%}
read_csv('{{ file }}', header = true, all_varchar = true)
  {%- endif -%}
{%- endmacro -%}

{%- macro census_text(file, columns) -%}
  {#- The census with every column as trimmed text and empty text as NULL, so that CSV and
      Parquet are checked and read alike. -#}
    select
  {%- for column in ["employee_id", "birth_date", "hire_date", "termination_date", "annual_salary", "job_level", "department"] %}
      {% if column in columns -%}
      nullif(trim(cast("{{ column }}" as varchar)), '')
      {%- else -%}
      cast(null as varchar)
      {%- endif %} as {{ column }}{{ "," if not loop.last }}
  {%- endfor %}
    from {{ census_source(file) }}
{%- endmacro -%}

{%- macro stop_census(path, problems) -%}
  {{ exceptions.raise_compiler_error(
    "The census " ~ path ~ " cannot be simulated; " ~ problems | length
    ~ (" problem:" if problems | length == 1 else " problems:")
    ~ "\n  - " ~ problems | join("\n  - ")
    ~ "\nCorrect the file (its columns are described in docs/simulation.md) and run again."
  ) }}
{%- endmacro -%}

{%- macro census_columns(path, file) -%}
  {#- Names of the file's columns in lower case; stops when the file is missing or empty. -#}
  {%- set lowered = file | lower -%}
  {%- if not (lowered.endswith(".csv") or lowered.endswith(".parquet")) -%}
    {%- do stop_census(path, ["the file name must end in .csv or .parquet"]) -%}
  {%- endif -%}
  {%- if run_query("select count(*) from glob('" ~ file ~ "')").columns[0].values()[0] == 0 -%}
    {%- do stop_census(path, [
      "there is no such file; census_path is absolute or relative to the dbt project (looked for " ~ file ~ ")"
    ]) -%}
  {%- endif -%}
  {%- if lowered.endswith(".csv")
      and run_query("select size from read_blob('" ~ file ~ "')").columns[0].values()[0] == 0 -%}
    {%- do stop_census(path, ["the file is empty; it needs a header line and at least one employee"]) -%}
  {%- endif -%}
  {%- set columns = [] -%}
  {%- for row in run_query("describe select * from " ~ census_source(file)) -%}
    {%- do columns.append(row[0] | lower | trim) -%}
  {%- endfor -%}
  {{ return(columns) }}
{%- endmacro -%}

{%- macro census_rules() -%}
  {#- (name, what is wrong, what is allowed, offending value, condition) over the parsed rows. -#}
  {%- set first_day = "make_date(" ~ var("start_year") ~ ", 1, 1)" -%}
  {%- set top_level = "(select max(job_level) from " ~ ref("stg_job_levels") ~ ")" -%}
  {{ return([
    ("missing employee_id", "every row needs one", "null", "employee_id is null"),
    ("duplicate employee_id", "one row for an employee_id and hire_date; a later hire of the same person may follow",
      "'hired ' || coalesce(hire_text, 'on an unknown day')", "is_duplicate"),
    ("reserved employee_id", "ids of the form NH_<year>_<number> are given to simulated new hires", "employee_id",
      "regexp_full_match(employee_id, 'NH_[0-9]+_[0-9]+')"),
    ("missing birth_date", "a date, YYYY-MM-DD", "null", "birth_text is null"),
    ("unreadable birth_date", "a date, YYYY-MM-DD", "birth_text", "birth_text is not null and birth_date is null"),
    ("missing hire_date", "a date, YYYY-MM-DD", "null", "hire_text is null"),
    ("unreadable hire_date", "a date, YYYY-MM-DD", "hire_text", "hire_text is not null and hire_date is null"),
    ("unreadable termination_date", "a date, YYYY-MM-DD, or empty while employed", "termination_text",
      "termination_text is not null and termination_date is null"),
    ("missing annual_salary", "a number of USD a year", "null", "salary_text is null"),
    ("unreadable annual_salary", "a plain number of USD a year such as 72500.00", "salary_text",
      "salary_text is not null and annual_salary is null"),
    ("negative or zero annual_salary", "more than 0 USD a year", "salary_text", "annual_salary <= 0"),
    ("absurdly low annual_salary",
      "at least census_salary_floor = " ~ var("census_salary_floor") ~ " USD a year (hourly or monthly pay?)",
      "salary_text", "annual_salary > 0 and annual_salary < " ~ var("census_salary_floor")),
    ("absurdly high annual_salary",
      "at most census_salary_limit = " ~ var("census_salary_limit") ~ " USD a year (cents?)",
      "salary_text", "annual_salary > " ~ var("census_salary_limit")),
    ("future hire_date", "before January 1, " ~ var("start_year") ~ " (start_year)", "hire_text",
      "hire_date >= " ~ first_day),
    ("hire_date before birth_date", "hired after birth", "'born ' || birth_text || ', hired ' || hire_text",
      "hire_date < birth_date"),
    ("implausible age at hire",
      var("census_age_at_hire_min") ~ " to " ~ var("census_age_at_hire_max")
      ~ " full years (census_age_at_hire_min, census_age_at_hire_max)",
      "'born ' || birth_text || ', hired ' || hire_text",
      "hire_date >= birth_date and date_sub('year', birth_date, hire_date) not between "
      ~ var("census_age_at_hire_min") ~ " and " ~ var("census_age_at_hire_max")),
    ("implausible age", "at most census_age_max = " ~ var("census_age_max") ~ " on January 1, " ~ var("start_year"),
      "'born ' || birth_text",
      "(termination_date is null or termination_date >= " ~ first_day ~ ") and date_sub('year', birth_date, "
      ~ first_day ~ ") > " ~ var("census_age_max")),
    ("termination_date before hire_date", "on or after the hire date",
      "'hired ' || hire_text || ', left ' || termination_text", "termination_date < hire_date"),
    ("unknown job_level", "a level of config_job_levels, or empty to take it from pay", "level_text",
      "level_text is not null and (job_level is null or job_level not between 1 and " ~ top_level ~ ")"),
  ]) }}
{%- endmacro -%}

{%- macro check_census(path, file, columns) -%}
  {%- set problems = [] -%}
  {%- for column in ["employee_id", "birth_date", "hire_date", "termination_date", "annual_salary"] -%}
    {%- if column not in columns -%}
      {%- do problems.append(
        "missing column " ~ column ~ " (found: " ~ columns | join(", ") ~ ")"
      ) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- set parsed -%}
    with census as (
      {{ census_text(file, columns) }}
    ),
    parsed as (
      select
        employee_id,
        birth_date as birth_text,
        hire_date as hire_text,
        termination_date as termination_text,
        annual_salary as salary_text,
        job_level as level_text,
        case when isfinite(try_cast(birth_date as date)) then try_cast(birth_date as date) end as birth_date,
        case when isfinite(try_cast(hire_date as date)) then try_cast(hire_date as date) end as hire_date,
        case when isfinite(try_cast(termination_date as date)) then try_cast(termination_date as date) end as termination_date,
        try_cast(annual_salary as decimal(18, 2)) as annual_salary,
        -- 2.5 would be rounded by a cast to integer; only whole levels exist.
        case when try_cast(job_level as double) = floor(try_cast(job_level as double))
          then try_cast(job_level as integer) end as job_level
      from census
    ),
    checked as (
      select
        *,
        employee_id is not null
        and count(*) over (partition by employee_id, coalesce(cast(hire_date as varchar), hire_text)) > 1 as is_duplicate
      from parsed
    )
  {%- endset -%}
  {#- A rule about a column that the file lacks would repeat the missing column. -#}
  {%- set rules = [] -%}
  {%- for rule in census_rules() -%}
    {%- set about_missing = namespace(yes=false) -%}
    {%- for column in ["employee_id", "birth_date", "hire_date", "annual_salary"] -%}
      {%- if column not in columns and column in rule[0] -%}{%- set about_missing.yes = true -%}{%- endif -%}
    {%- endfor -%}
    {%- if not about_missing.yes -%}{%- do rules.append(rule) -%}{%- endif -%}
  {%- endfor -%}
  {%- set findings = run_query(
    parsed ~ " select count(*)::integer, count(distinct case when is_rehired then employee_id end)::integer"
    ~ census_rule_counts(rules)
    ~ " from (select *, count(*) over (partition by employee_id) > 1 and not is_duplicate as is_rehired from checked)"
  ).rows[0] -%}
  {%- if findings[0] == 0 and not problems -%}
    {%- do problems.append("the file has no rows; it needs at least one employee") -%}
  {%- endif -%}
  {%- for rule in rules -%}
    {%- if findings[2 + 2 * loop.index0] > 0 -%}
      {%- do problems.append(
        rule[0] ~ ": " ~ findings[2 + 2 * loop.index0]
        ~ (" row" if findings[2 + 2 * loop.index0] == 1 else " rows")
        ~ ", for example " ~ findings[3 + 2 * loop.index0] ~ "; allowed: " ~ rule[1]
      ) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if problems -%}
    {%- do stop_census(path, problems) -%}
  {%- endif -%}
  {%- if findings[1] > 0 -%}
    {%- do exceptions.warn(
      "The census " ~ path ~ " holds several hires for " ~ findings[1]
      ~ (" person" if findings[1] == 1 else " people") ~ "; the latest hire of each is used."
    ) -%}
  {%- endif -%}
{%- endmacro -%}

{%- macro census_rule_counts(rules) -%}
  {%- for rule in rules -%}
    {%- set example = "coalesce(employee_id, '(no id)') || coalesce(' (' || " ~ rule[2] ~ " || ')', '')" -%}
, (count(*) filter (where {{ rule[3] }}))::integer
, array_to_string(min({{ example }}, 3) filter (where {{ rule[3] }}), ', ')
  {%- endfor -%}
{%- endmacro -%}
