{%- macro stop_census(path, problems, advice="Correct the file") -%}
  {{ exceptions.raise_compiler_error(
    "The census " ~ path ~ " cannot be simulated; " ~ problems | length
    ~ (" problem:" if problems | length == 1 else " problems:")
    ~ "\n  - " ~ problems | join("\n  - ")
    ~ "\n" ~ advice ~ " (its columns are described in docs/simulation.md) and run again."
  ) }}
{%- endmacro -%}

{%- macro check_census(path, file, reading, first_year, is_skipping) -%}
  {#- Stops with every problem of the file, or, when rows are skipped, with those that no skipping
      mends: columns that are missing, too many bad rows, nobody left. -#}
  {%- set rules = census_rules(reading, first_year) -%}
  {%- set problems = reading.problems -%}
  {%- set findings = run_query(
    checked_census(file, reading, first_year)
    ~ " select count(*)::integer, count(distinct case when is_rehired then employee_id end)::integer, "
    ~ " (count(*) filter (where " ~ census_is_rejected(rules) ~ "))::integer"
    ~ census_rule_counts(rules)
    ~ " from (select *, count(*) filter (where not is_repeated) over (partition by employee_id) > 1 and not is_duplicate"
    ~ " as is_rehired from checked)"
  ).rows[0] -%}
  {%- set people = findings[0] -%}
  {%- set rejected = findings[2] -%}
  {%- if people == 0 and not problems -%}
    {%- do problems.append("the file has no rows; it needs at least one employee") -%}
  {%- endif -%}
  {%- set has_broken_file = problems | length > 0 -%}
  {%- for rule in rules -%}
    {%- if findings[3 + 2 * loop.index0] > 0 -%}
      {%- do problems.append(
        rule[0] ~ ": " ~ findings[3 + 2 * loop.index0]
        ~ (" row" if findings[3 + 2 * loop.index0] == 1 else " rows")
        ~ ", for example " ~ findings[4 + 2 * loop.index0] ~ "; allowed: " ~ rule[1]
      ) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- set share = census_number_var("census_rejects_limit", 0, 1) -%}
  {%- if has_broken_file or (rejected > 0 and not is_skipping) -%}
    {%- do stop_census(path, problems, "Correct the file" ~ (
      ", or leave out " ~ ("the row" if rejected == 1 else "the " ~ rejected ~ " rows")
      ~ " with the var census_rejects: skip" if rejected > 0 and not has_broken_file else ""
    )) -%}
  {%- elif rejected == people or rejected > share * people -%}
    {%- do problems.append(
      rejected ~ " of " ~ people ~ " rows would be skipped, more than census_rejects_limit = " ~ var("census_rejects_limit")
      ~ " allows"
    ) -%}
    {%- do stop_census(path, problems, "Correct the file or its mapping") -%}
  {%- endif -%}
  {%- if findings[1] > 0 -%}
    {%- do exceptions.warn(
      "The census " ~ path ~ " holds several hires for " ~ findings[1]
      ~ (" person" if findings[1] == 1 else " people") ~ "; the latest hire of each is used."
    ) -%}
  {%- endif -%}
{%- endmacro -%}

{%- macro census_example(rule) -%}
coalesce(employee_id, '(no id)') || coalesce(' (' || {{ rule[2] }} || ')', '')
{%- endmacro -%}

{%- macro census_rule_counts(rules) -%}
  {%- for rule in rules -%}
, (count(*) filter (where {{ rule[3] }}))::integer
, array_to_string(min({{ census_example(rule) }}, 3) filter (where {{ rule[3] }}), ', ')
  {%- endfor -%}
{%- endmacro -%}

{%- macro census_rejects(path) -%}
  {#- One row for each row of the file and each thing that is wrong with it. -#}
  {%- set file = project_file(path | string) | replace("'", "''") -%}
  {%- set reading = census_reading(path, file) if execute else unknown_census() -%}
  {{ checked_census(file, reading, var("start_year")) }}
  select
    census_row,
    employee_id,
    unnest(list_filter([
      {%- for rule in census_rules(reading, var("start_year")) %}
      case when {{ rule[3] }} then {
        'reason': '{{ rule[0] | replace("'", "''") }}', 'given': {{ rule[2] }}, 'allowed': '{{ rule[1] | replace("'", "''") }}'
      } end{{ "," if not loop.last }}
      {%- endfor %}
    ], lambda found: found is not null), recursive := true)
  from checked
  where {{ census_is_rejected(census_rules(reading, var("start_year"))) }}
{%- endmacro -%}

{%- macro write_census_rejects() -%}
  {#- The rejects as a file beside the census, or where census_rejects_path says; one of an earlier run
      is replaced also when nothing is rejected any more. -#}
  {%- if execute and var("census_path") is not none -%}
    {%- set path = var("census_rejects_path") or var("census_path") ~ ".rejects.csv" -%}
    {%- set file = project_file(path | string) | replace("'", "''") -%}
    {%- set is_there = run_query("select count(*) from glob('" ~ file ~ "')").columns[0].values()[0] > 0 -%}
    {%- if is_there or run_query("select count(*) from " ~ this).columns[0].values()[0] > 0 -%}
copy (select * from {{ this }} order by census_row, reason) to '{{ file }}' (format csv, header)
    {%- endif -%}
  {%- endif -%}
{%- endmacro -%}
