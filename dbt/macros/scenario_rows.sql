{%- macro forget_from_this_year() -%}
  {#- Removes the scenario's rows of this year and of later ones before the year is written
      again: an earlier run may have held more people, and later years built on it are void. -#}
  {%- if is_incremental() -%}
    {%- do refuse_older_table(this) -%}
delete from {{ this }} where scenario_id = {{ scenario_id() }} and simulation_year >= {{ simulation_year() }}
  {%- endif -%}
{%- endmacro -%}

{%- macro refuse_older_table(relation) -%}
  {#- A table of an earlier version of this project lacks columns, and rows of both cannot be mixed. -#}
  {%- set newest = {"fct_workforce_snapshot": ["known_termination_date", "fte", "gender", "lump_sum"]} -%}
  {%- set known = adapter.get_columns_in_relation(relation) | map(attribute="name") | list -%}
  {%- set missing = newest.get(relation.identifier, []) | reject("in", known) | list -%}
  {%- if missing -%}
    {{ exceptions.raise_compiler_error(
      "This database was written by an earlier version of the project: " ~ relation.identifier ~ " has no column "
      ~ missing | join(", ") ~ ". Build it anew: move the database file (WORKFORCE_DB) away, then run dbt seed, "
      ~ "tag:foundation and the years from start_year on."
    ) }}
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
  {%- if execute -%}{%- do refuse_older_table(relation) -%}{%- endif -%}
"{{ target.database }}"."{{ target.schema }}"."{{ table }}"
{%- endmacro -%}
