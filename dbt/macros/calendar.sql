{%- macro simulation_year() -%}
  {#- The simulated year, start_year unless it is given, checked: a run for a year that cannot exist
      must not write rows. -#}
  {%- set asked = var("simulation_year", none) -%}
  {%- set first = var("start_year") | int(-1) -%}
  {%- set year = first if asked is none else asked | int(-1) -%}
  {%- if first < 1950 or first > 2150 -%}
    {{ exceptions.raise_compiler_error("start_year must be a year from 1950 to 2150, got '" ~ var("start_year") ~ "'.") }}
  {%- endif -%}
  {%- if year < first or year > 2200 -%}
    {{ exceptions.raise_compiler_error(
      "simulation_year must be start_year (" ~ first ~ ") or later, up to 2200, got '" ~ asked ~ "'."
    ) }}
  {%- endif -%}
  {{ return(year) }}
{%- endmacro -%}

{%- macro is_first_year() -%}{{ return(simulation_year() == var("start_year") | int) }}{%- endmacro -%}

{%- macro year_start() -%}make_date({{ simulation_year() }}, 1, 1){%- endmacro -%}

{%- macro year_end() -%}make_date({{ simulation_year() }}, 12, 31){%- endmacro -%}

{%- macro days_in_year() -%}({{ year_end() }} - {{ year_start() }} + 1){%- endmacro -%}

{%- macro promotion_date() -%}make_date({{ simulation_year() }}, {{ var("promotion_month") }}, 1){%- endmacro -%}

{%- macro day_of_year(draw) -%}
  {#- A date of the simulated year, each day equally likely. -#}
({{ year_start() }} + cast(floor({{ draw }} * {{ days_in_year() }}) as integer))
{%- endmacro -%}

{%- macro full_years(since) -%}
  {#- Full years from an earlier date to January 1 of the simulated year: computed from dates
      every year, so nothing can be counted up twice. No day of a year comes before its January 1,
      so they are the years between, and one more from a January 1. -#}
cast({{ simulation_year() - 1 }} - year({{ since }} - 1) as integer)
{%- endmacro -%}

{%- macro date_of_last_year(month) -%}make_date({{ simulation_year() - 1 }}, {{ month }}, 1){%- endmacro -%}

{%- macro raise_month_draw() -%}
  {#- A person's draw of the month of raises: anew each year, or the same in all years. -#}
  {%- if choice("raise_month", ["yearly", "fixed"]) == "'fixed'" -%}
{{ draw("raise_month", "opening_workforce.key_high", "opening_workforce.key_low", year=0) }}
  {%- else -%}
{{ draw("raise_month", "opening_workforce.key_high", "opening_workforce.key_low") }}
  {%- endif -%}
{%- endmacro -%}
