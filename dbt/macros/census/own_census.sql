{#- Reads a census of the user's own. A mistake stops the build before anything is simulated, or,
    with census_rejects: skip, leaves out the rows that have it. Every problem of the file is
    named at once, each with what is allowed, how many rows have it and up to three examples. -#}

{%- macro own_census(path, first_year=none) -%}
  {#- `first_year`: the census describes the workforce on its January 1; start_year when left out. -#}
  {%- set year = var("start_year") if first_year is none else first_year -%}
  {%- set file = project_file(path | string) | replace("'", "''") -%}
  {%- set is_skipping = skips_census_rejects() -%}
  {%- if execute -%}
    {%- set reading = census_reading(path, file) -%}
    {%- do check_census(path, file, reading, year, is_skipping) -%}
  {%- else -%}
    {%- set reading = unknown_census() -%}
  {%- endif %}
  select
    employee_id,
    birth_date,
    hire_date,
    termination_date,
    annual_salary,
    job_level,
    department,
    {{ optional_census_columns() | join(", ") }}
  from (
    {%- if is_skipping %}
    {{ checked_census(file, reading, year) }}
    select * from checked
    where not ({{ census_is_rejected(census_rules(reading, year)) }})
    {%- else %}
    {{ parsed_census(file, reading) }}
    select * from parsed
    {%- endif %}
  )
{%- endmacro -%}

{%- macro optional_census_columns() -%}
  {#- Columns that a census may have beyond those that the simulation needs, as name: type. -#}
  {{ return({
    "gender": "varchar",
    "rating": "varchar",
    "fte": "decimal(6, 4)",
    "pay_type": "varchar",
    "hourly_rate": "decimal(18, 4)",
    "country": "varchar",
    "cost_centre": "varchar",
    "manager_id": "varchar",
    "currency": "varchar",
  }) }}
{%- endmacro -%}

{%- macro without_optional_census_columns() -%}
  {%- for name, type in optional_census_columns().items() -%}
cast(null as {{ type }}) as {{ name }}{{ ", " if not loop.last }}
  {%- endfor -%}
{%- endmacro -%}

{%- macro skips_census_rejects() -%}
  {{ return(choice("census_rejects", ["stop", "skip"]) == "'skip'") }}
{%- endmacro -%}

{%- macro census_source(file) -%}
  {%- if (file | lower).endswith(".parquet") -%}
read_parquet('{{ file }}')
  {%- else -%}
read_csv('{{ file }}', header = true, all_varchar = true, encoding = {{ choice("census_encoding", ["utf-8", "latin-1", "utf-16"]) }})
  {%- endif -%}
{%- endmacro -%}

{%- macro census_text(file, reading) -%}
  {#- The census under our names, every column as trimmed text and empty text as NULL, so that CSV
      and Parquet are checked and read alike. `census_row` counts the rows below the header. -#}
    select
      row_number() over () as census_row,
  {%- for field in census_fields() %}
      {% if field in reading.sources -%}
      nullif(trim(cast({{ quoted_column(reading.sources[field]) }} as varchar)), '')
      {%- else -%}
      cast(null as varchar)
      {%- endif %} as {{ field }}{{ "," if not loop.last }}
  {%- endfor %}
    from {{ census_source(file) }}
{%- endmacro -%}

{%- macro quoted_column(name) -%}"{{ name | replace('"', '""') }}"{%- endmacro -%}

{%- macro parsed_census(file, reading) -%}
  {#- CTEs up to `parsed`: the text as given beside what is read from it, NULL where unreadable. -#}
  {%- set formats = reading.formats -%}
  {%- set year_hours = census_number_var("census_hours_per_year", 1, 8784) -%}
  {%- set is_full_time_pay = choice("census_salary_basis", ["actual", "full_time"]) == "'full_time'" -%}
    with census as (
      {{ census_text(file, reading) }}
    ),
    readable as (
      select
        * exclude (birth_date, hire_date, termination_date, annual_salary, job_level, hourly_rate, fte, pay_type, currency),
        birth_date as birth_text,
        hire_date as hire_text,
        termination_date as termination_text,
        annual_salary as salary_text,
        job_level as level_text,
        hourly_rate as hourly_text,
        fte as fte_text,
        pay_type as pay_type_text,
        {{ census_date("birth_date", formats.get("birth_date")) }} as birth_date,
        {{ census_date("hire_date", formats.get("hire_date")) }} as hire_date,
        {{ census_date("termination_date", formats.get("termination_date")) }} as termination_date,
        {{ census_amount("annual_salary", formats.get("annual_salary"), 2) }} as salary,
        {{ census_amount("hourly_rate", formats.get("hourly_rate"), 4) }} as rate,
        {{ census_whole("job_level", formats.get("job_level")) }} as job_level,
        {{ census_share("fte") }} as fte,
        {{ census_pay_type("pay_type", formats.get("pay_type")) }} as pay_type,
        coalesce(
          {{ census_currency_name(census_word("currency", formats.get("currency"))) }},
          {{ census_currency("annual_salary", formats.get("annual_salary")) }},
          {{ census_currency("hourly_rate", formats.get("hourly_rate")) }}
        ) as currency
      from census
    ),
    -- Paid by the hour: who is said to be, or has a rate and nothing else.
    paid as (
      select
        *,
        hourly_text is not null
        and (pay_type is not distinct from 'hourly' or (pay_type_text is null and salary_text is null)) as is_by_the_hour
      from readable
    ),
    parsed as (
      select
        * exclude (
          salary, rate
          {%- for word in census_words() %}, {{ word }}{% endfor %}
        ),
        {%- for word in census_words() %}
        {{ census_word(word, formats.get(word)) }} as {{ word }},
        {%- endfor %}
        case when is_by_the_hour then rate end as hourly_rate,
        cast(case
          when is_by_the_hour then rate * cast({{ year_hours }} as decimal(7, 2)) * coalesce(fte, 1)
          {%- if is_full_time_pay %}
          else salary * coalesce(fte, 1)
          {%- else %}
          else salary
          {%- endif %}
        end as decimal(18, 2)) as annual_salary
      from paid
    )
{%- endmacro -%}

{%- macro checked_census(file, reading, first_year) -%}
  {#- CTEs up to `checked`: what is wrong with a row only beside the others, or beside the
      first day of `first_year`. Where every row has an id of its own, nothing needs to be compared. -#}
    {{ parsed_census(file, reading) }},
    {%- if not reading.has_shared_ids %}
    checked as (
      select
        *,
        false as is_repeated,
        {{ census_most_used_currency(reading) }} as census_currency,
        false as is_duplicate,
        false as is_employed_already
      from parsed
    )
    {%- else %}
    repeated as (
      select
        *,
        -- The hash is only compared within an id.
        row_number() over (
          partition by employee_id, hash(
            birth_text, hire_text, termination_text, salary_text, level_text, hourly_text, fte_text, pay_type_text,
            department, manager_id
          )
          order by census_row
        ) > 1 as is_repeated,
        {{ census_most_used_currency(reading) }} as census_currency
      from parsed
    ),
    checked as (
      select
        *,
        employee_id is not null and not is_repeated
        and count(*) filter (where not is_repeated)
          over (partition by employee_id, coalesce(cast(hire_date as varchar), hire_text)) > 1 as is_duplicate,
        -- The same person twice: employed at the start, and with a first day after it.
        hire_date >= make_date({{ first_year }}, 1, 1)
        and count(*) filter (
          where hire_date < make_date({{ first_year }}, 1, 1)
          and (termination_text is null or termination_date >= make_date({{ first_year }}, 1, 1))
        ) over (partition by employee_id) > 0 as is_employed_already
      from repeated
    )
    {%- endif %}
{%- endmacro -%}

{%- macro census_most_used_currency(reading) -%}
  {%- if "currency" in reading.sources or reading.formats.get("annual_salary") or reading.formats.get("hourly_rate") -%}
(
          select currency from parsed
          where currency is not null
          group by currency
          order by count(*) desc, currency
          limit 1
        )
  {%- else -%}
cast(null as varchar)
  {%- endif -%}
{%- endmacro -%}
