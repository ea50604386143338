{#- Which column of the file is which of ours, and how its values are written: the seed
    config_census_mapping, or the file that census_mapping names. -#}

{%- macro census_fields() -%}
  {#- What each of our columns holds: text as it is, a word (replaced by name=ours), a date, an amount
      of money, or a share. -#}
  {{ return({
    "employee_id": "text",
    "birth_date": "date",
    "hire_date": "date",
    "termination_date": "date",
    "annual_salary": "amount",
    "job_level": "word",
    "department": "word",
    "gender": "word",
    "rating": "word",
    "fte": "share",
    "pay_type": "word",
    "hourly_rate": "amount",
    "country": "word",
    "cost_centre": "word",
    "manager_id": "text",
    "currency": "word",
  }) }}
{%- endmacro -%}

{%- macro census_words() -%}
  {{ return(["department", "gender", "rating", "country", "cost_centre"]) }}
{%- endmacro -%}

{%- macro unknown_census() -%}
  {#- What stands for a file that has not been looked at: while dbt parses, nothing is read. -#}
  {{ return({"sources": {}, "formats": {}, "unread": [], "problems": [], "note": none, "has_shared_ids": true}) }}
{%- endmacro -%}

{%- macro census_file_columns(path, file) -%}
  {#- Names of the file's columns; stops when the file is missing or empty. -#}
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
  {%- if lowered.endswith(".csv") and var("census_encoding") == "utf-8"
      and run_query(
        "select try(decode(content)) is null from read_blob('" ~ file ~ "') where size < 500000000"
      ).rows | map(attribute=0) | select | list -%}
    {%- do stop_census(path, [
      "the file is not UTF-8; say how it is written with the var census_encoding: latin-1 (what Windows calls ANSI) or utf-16"
    ]) -%}
  {%- endif -%}
  {%- set columns = [] -%}
  {%- for row in run_query("describe select * from " ~ census_source(file)) -%}
    {%- do columns.append(row[0]) -%}
  {%- endfor -%}
  {{ return(columns) }}
{%- endmacro -%}

{%- macro census_mapping_rows() -%}
  {#- (their column, our column, format) as text; empty cells are empty text. -#}
  {%- set mapping_path = var("census_mapping") -%}
  {%- if mapping_path is none -%}
    {%- set source = ref("config_census_mapping") | string -%}
  {%- else -%}
    {%- set file = project_file(mapping_path | string) | replace("'", "''") -%}
    {%- if run_query("select count(*) from glob('" ~ file ~ "')").columns[0].values()[0] == 0 -%}
      {{ exceptions.raise_compiler_error(
        "census_mapping must be null (the seed config_census_mapping) or a CSV file with the columns their_column, "
        ~ "our_column, format; there is no file " ~ file ~ "."
      ) }}
    {%- endif -%}
    {%- set source = "read_csv('" ~ file ~ "', header = true, all_varchar = true, delim = ',', quote = '\"')" -%}
    {%- set found = [] -%}
    {%- for row in run_query("describe select * from " ~ source) -%}{%- do found.append(row[0]) -%}{%- endfor -%}
    {%- for column in ["their_column", "our_column", "format"] if column not in found -%}
      {{ exceptions.raise_compiler_error(
        "The census mapping " ~ mapping_path ~ " must have the columns their_column, our_column, format; found: "
        ~ found | join(", ") ~ "."
      ) }}
    {%- endfor -%}
  {%- endif -%}
  {{ return(run_query(
    "select coalesce(trim(their_column), ''), coalesce(lower(trim(our_column)), ''), coalesce(trim(format), '') from "
    ~ source
  ).rows) }}
{%- endmacro -%}

{%- macro census_reading(path, file) -%}
  {#- The file's columns under our names: `sources` (ours: theirs), `formats` (ours: format), `unread`
      (columns that nothing names), `problems` of file and mapping, `note` for the summary, and whether
      `has_shared_ids`: some rows have one id, or none. -#}
  {%- set theirs = {} -%}
  {%- for column in census_file_columns(path, file) -%}
    {%- do theirs.update({column | lower | trim: column}) -%}
  {%- endfor -%}
  {%- set reading = {"sources": {}, "formats": {}, "unread": [], "problems": [], "note": none, "has_shared_ids": true} -%}
  {%- set rows = census_mapping_rows() -%}
  {%- set absent = [] -%}
  {%- set named = [] -%}
  {%- for row in rows -%}
    {%- if row[0] | lower in theirs -%}
      {%- do named.append(row[0] | lower) -%}
      {%- do map_census_column(reading, theirs[row[0] | lower], row[1], row[2]) -%}
    {%- else -%}
      {%- do absent.append(row[0]) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if absent and named -%}
    {%- do reading.problems.append(
      "the mapping names " ~ ("a column" if absent | length == 1 else "columns") ~ " that the file lacks: "
      ~ absent | join(", ") ~ " (found: " ~ theirs.values() | join(", ") ~ ")"
    ) -%}
  {%- elif absent -%}
    {#- A file in our own form, beside a mapping that is meant for others. -#}
    {%- do reading.update({"note": "no column of the mapping is in this file; it is read by our names"}) -%}
  {%- endif -%}
  {%- for lowered, column in theirs.items() if lowered not in named -%}
    {%- if lowered in census_fields() and lowered not in reading.sources -%}
      {%- do reading.sources.update({lowered: column}) -%}
    {%- else -%}
      {%- do reading.unread.append(column) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- do name_missing_columns(reading, theirs.values() | join(", ")) -%}
  {%- if "employee_id" in reading.sources -%}
    {%- do reading.update({"has_shared_ids": run_query(
      "select count(*) > count(distinct employee_id) from (" ~ census_text(file, reading) ~ ")"
    ).rows[0][0]}) -%}
  {%- endif -%}
  {{ return(reading) }}
{%- endmacro -%}

{%- macro map_census_column(reading, their_column, our_column, format) -%}
  {%- set kind = census_fields().get(our_column) -%}
  {%- set place = "mapping of column " ~ their_column ~ ": " -%}
  {%- if our_column == "" -%}
    {#- Known and left out on purpose. -#}
  {%- elif kind is none -%}
    {%- do reading.problems.append(
      place ~ "our_column must be one of " ~ census_fields() | join(", ") ~ ", or empty to leave the column out; got '"
      ~ our_column ~ "'"
    ) -%}
  {%- elif our_column in reading.sources -%}
    {%- do reading.problems.append(
      place ~ our_column ~ " is already taken from column " ~ reading.sources[our_column] ~ "; one of the two must go"
    ) -%}
  {%- else -%}
    {%- do reading.sources.update({our_column: their_column}) -%}
    {%- if format -%}
      {%- set mistake = census_format_mistake(kind, format) -%}
      {%- if mistake -%}
        {%- do reading.problems.append(place ~ "format " ~ mistake ~ "; got '" ~ format ~ "'") -%}
      {%- else -%}
        {%- do reading.formats.update({our_column: format}) -%}
      {%- endif -%}
    {%- endif -%}
  {%- endif -%}
{%- endmacro -%}

{%- macro name_missing_columns(reading, found) -%}
  {%- for column in ["employee_id", "birth_date", "hire_date", "termination_date"] if column not in reading.sources -%}
    {%- do reading.problems.append(
      "missing column " ~ column ~ " (found: " ~ found ~ "); another name goes into config_census_mapping"
    ) -%}
  {%- endfor -%}
  {%- if "annual_salary" not in reading.sources and "hourly_rate" not in reading.sources -%}
    {%- do reading.problems.append(
      "missing column annual_salary (found: " ~ found ~ "), or hourly_rate; another name goes into config_census_mapping"
    ) -%}
  {%- endif -%}
{%- endmacro -%}
