{%- macro forget_from_this_year() -%}
  {#- Removes the scenario's rows of this year and of later ones before the year is written
      again: an earlier run may have held more people, and later years built on it are void. -#}
  {%- if is_incremental() -%}
delete from {{ this }} where scenario_id = {{ scenario_id() }} and simulation_year >= {{ simulation_year() }}
  {%- endif -%}
{%- endmacro -%}

{%- macro this_years_structure() -%}
  {#- The pay bands of the simulated year. -#}
(
  select * from {{ ref("fct_salary_structure") }}
  where scenario_id = {{ scenario_id() }} and simulation_year = {{ simulation_year() }}
)
{%- endmacro -%}

{%- macro previous_structure() -%}
{{ earlier_rows("fct_salary_structure") }}
{%- endmacro -%}

{%- macro previous_snapshot() -%}
{{ earlier_rows("fct_workforce_snapshot") }}
{%- endmacro -%}

{%- macro earlier_rows(table) -%}
  {#- A table of the simulation as earlier years left it. Read by name because a ref would close a
      circle: the snapshot of a year is built from the opening workforce of that year. -#}
  {%- set relation = adapter.get_relation(
    database=target.database, schema=target.schema, identifier=table
  ) -%}
  {%- if execute and relation is none -%}
    {{ exceptions.raise_compiler_error(
      "There is no " ~ table ~ " to open " ~ simulation_year() ~ " with. Run the years in order: first "
      ~ "--vars '{simulation_year: " ~ var("start_year") ~ "}' (= start_year), then each later year."
    ) }}
  {%- endif -%}
"{{ target.database }}"."{{ target.schema }}"."{{ table }}"
{%- endmacro -%}
