{%- macro census_rules(reading, first_year) -%}
  {#- (what is wrong, what is allowed, offending value, condition) over the checked rows. A rule about
      a column that the file lacks would repeat the missing column. -#}
  {%- set rules = [] -%}
  {%- for rule in all_census_rules(reading, first_year) -%}
    {%- set about_missing = namespace(yes=false) -%}
    {%- for column in ["employee_id", "birth_date", "hire_date", "annual_salary"] -%}
      {%- if column not in reading.sources and column in rule[0]
          and not (column == "annual_salary" and "hourly_rate" in reading.sources) -%}
        {%- set about_missing.yes = true -%}
      {%- endif -%}
    {%- endfor -%}
    {%- if not about_missing.yes -%}{%- do rules.append(rule) -%}{%- endif -%}
  {%- endfor -%}
  {{ return(rules) }}
{%- endmacro -%}

{%- macro all_census_rules(reading, first_year) -%}
  {%- set first_day = "make_date(" ~ first_year ~ ", 1, 1)" -%}
  {%- set top_level = "(select max(job_level) from " ~ ref("stg_job_levels") ~ ")" -%}
  {%- set dates = {} -%}
  {%- for column in ["birth_date", "hire_date", "termination_date"] -%}
    {%- do dates.update({column: "a date, " ~ reading.formats.get(column, "YYYY-MM-DD") | replace("|", "or")}) -%}
  {%- endfor -%}
  {{ return([
    ("missing employee_id", "every row needs one", "null", "employee_id is null"),
    ("repeated row", "each row once", "'the same as an earlier row'", "is_repeated"),
    ("duplicate employee_id", "one row for an employee_id and hire_date; a later hire of the same person may follow",
      "'hired ' || coalesce(hire_text, 'on an unknown day')", "is_duplicate and not is_repeated"),
    ("reserved employee_id", "ids of the form NH_<year>_<number> are given to simulated new hires", "employee_id",
      "regexp_full_match(employee_id, 'NH_[0-9]+_[0-9]+')"),
    ("missing birth_date", dates.birth_date, "null", "birth_text is null"),
    ("unreadable birth_date", dates.birth_date, "birth_text", "birth_text is not null and birth_date is null"),
    ("missing hire_date", dates.hire_date, "null", "hire_text is null"),
    ("unreadable hire_date", dates.hire_date, "hire_text", "hire_text is not null and hire_date is null"),
    ("unreadable termination_date", dates.termination_date ~ ", or empty while employed", "termination_text",
      "termination_text is not null and termination_date is null"),
    ("missing annual_salary", "a number of USD a year", "null", "salary_text is null and not is_by_the_hour"),
    ("unreadable annual_salary", "a " ~ ("number such as " ~ reading.formats.annual_salary
        if reading.formats.annual_salary else "plain number of USD a year such as 72500.00"), "salary_text",
      "salary_text is not null and annual_salary is null and not is_by_the_hour"),
    ("unreadable hourly_rate", "a " ~ ("number such as " ~ reading.formats.hourly_rate
        if reading.formats.hourly_rate else "plain number of USD an hour such as 31.50"), "hourly_text",
      "is_by_the_hour and annual_salary is null and (fte_text is null or fte is not null)"),
    ("negative or zero annual_salary", "more than 0 USD a year", census_pay_text(), "annual_salary <= 0"),
    ("absurdly low annual_salary",
      "at least census_salary_floor = " ~ var("census_salary_floor") ~ " USD a year (hourly or monthly pay?)",
      census_pay_text(), "annual_salary > 0 and annual_salary < " ~ var("census_salary_floor")),
    ("absurdly high annual_salary",
      "at most census_salary_limit = " ~ var("census_salary_limit") ~ " USD a year (cents?)",
      census_pay_text(), "annual_salary > " ~ var("census_salary_limit")),
    ("second currency", "one currency in a census; most rows of this one have another", "currency",
      "currency <> census_currency"),
    ("unknown pay_type", "hourly or salaried; other words go into config_census_mapping, such as H=hourly; S=salaried",
      "pay_type_text", "pay_type_text is not null and pay_type is null"),
    ("unreadable fte", "more than 0 and at most 1, such as 0.8 or 80%", "fte_text",
      "fte_text is not null and (fte is null or fte <= 0 or fte > 1)"),
    ("future hire_date", "before January 1, " ~ (first_year | int + var("census_offer_years") | int)
      ~ ": an accepted offer starts within census_offer_years = " ~ var("census_offer_years") ~ " of start_year",
      "hire_text", "hire_date >= make_date(" ~ (first_year | int + var("census_offer_years") | int) ~ ", 1, 1)"),
    ("future hire_date of an employed person", "one row, without a second first day, for who is employed on "
      ~ "January 1, " ~ first_year, "'hired ' || hire_text", "is_employed_already"),
    ("hire_date before birth_date", "hired after birth", "'born ' || birth_text || ', hired ' || hire_text",
      "hire_date < birth_date"),
    ("implausible age at hire",
      var("census_age_at_hire_min") ~ " to " ~ var("census_age_at_hire_max")
      ~ " full years (census_age_at_hire_min, census_age_at_hire_max)",
      "'born ' || birth_text || ', hired ' || hire_text",
      "hire_date >= birth_date and date_sub('year', birth_date, hire_date) not between "
      ~ var("census_age_at_hire_min") ~ " and " ~ var("census_age_at_hire_max")),
    ("implausible age", "at most census_age_max = " ~ var("census_age_max") ~ " on January 1, " ~ first_year,
      "'born ' || birth_text",
      "(termination_date is null or termination_date >= " ~ first_day ~ ") and date_sub('year', birth_date, "
      ~ first_day ~ ") > " ~ var("census_age_max")),
    ("termination_date before hire_date", "on or after the hire date",
      "'hired ' || hire_text || ', left ' || termination_text", "termination_date < hire_date"),
    ("unknown job_level", "a level of config_job_levels, or empty to take it from pay", "level_text",
      "level_text is not null and (job_level is null or job_level not between 1 and " ~ top_level ~ ")"),
  ]) }}
{%- endmacro -%}

{%- macro census_pay_text() -%}
  {{ return("case when is_by_the_hour then hourly_text || ' an hour' else salary_text end") }}
{%- endmacro -%}

{%- macro census_is_rejected(rules) -%}
  {%- for rule in rules -%}
coalesce({{ rule[3] }}, false){{ " or " if not loop.last }}
  {%- endfor -%}
{%- endmacro -%}
