{%- macro census_notes() -%}
  {#- SQL list of what was not read of the file, and why. -#}
  {%- set notes = [] -%}
  {%- set path = var("census_path") -%}
  {%- if execute and path is not none -%}
    {%- set reading = census_reading(path, project_file(path | string) | replace("'", "''")) -%}
    {%- if reading.unread -%}
      {%- do notes.append("columns not read, because nothing names them: " ~ reading.unread | join(", ")) -%}
    {%- endif -%}
    {%- if reading.note -%}{%- do notes.append(reading.note) -%}{%- endif -%}
  {%- endif -%}
cast([
  {%- for note in notes -%}'{{ note | replace("'", "''") }}'{{ ", " if not loop.last }}{%- endfor -%}
] as varchar [])
{%- endmacro -%}

{%- macro print_census_summary() -%}
  {#- Tells who will be simulated before anything is; a generated census is no news. -#}
  {%- if execute and var("census_path") is not none -%}
    {{ log("Census " ~ var("census_path") ~ ":", info=true) }}
    {%- for row in run_query("select item, people, payroll from " ~ this ~ " order by line").rows -%}
      {%- set people = "" if row[1] is none else "{:>9,}".format(row[1] | int) -%}
      {%- set payroll = "" if row[2] is none else "  payroll {:>17,.2f}".format(row[2]) -%}
      {{ log("  " ~ "{:<44}".format(row[0]) ~ people ~ payroll, info=true) }}
    {%- endfor -%}
  {%- endif -%}
{%- endmacro -%}
