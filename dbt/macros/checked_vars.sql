{%- macro choice(name, allowed) -%}
  {#- SQL literal of a var that must be one of a few words. -#}
  {%- set value = var(name) -%}
  {%- if value not in allowed -%}
    {{ exceptions.raise_compiler_error(name ~ " must be one of " ~ allowed | join(", ") ~ "; got '" ~ value ~ "'.") }}
  {%- endif -%}
'{{ value }}'
{%- endmacro -%}

{%- macro raise_timing() -%}
{{ choice("raise_timing", ["january", "july", "anniversary", "distributed"]) }}
{%- endmacro -%}

{%- macro hiring_level_mix() -%}
{{ choice("hiring_level_mix", ["stayers", "fixed", "positions"]) }}
{%- endmacro -%}

{%- macro whole_number(name, lowest, highest) -%}
  {#- A var that is null or a whole number of a range, checked. -#}
  {%- set value = var(name) -%}
  {%- if value is not none and (value | int(lowest - 1) < lowest or value | int > highest or value | int != value) -%}
    {{ exceptions.raise_compiler_error(
      name ~ " must be null or a whole number from " ~ lowest ~ " to " ~ highest ~ "; got '" ~ value ~ "'."
    ) }}
  {%- endif -%}
  {{ return(value) }}
{%- endmacro -%}

{%- macro within_ranges(value, ranges) -%}
  {#- SQL of a value, or an error where a var is out of its range: `ranges` is (var, lowest, highest), both ends
      allowed. Checked where the SQL runs, so that a search may try values of the vars. -#}
case
  {%- for name, lowest, highest in ranges %}
  when not {{ var(name) }} between {{ lowest }} and {{ highest }}
    then error('{{ name }} must be from {{ lowest }} to {{ highest }}, got ' || {{ var(name) }})
  {%- endfor %}
  else {{ value }}
end
{%- endmacro -%}

{%- macro scenario_id() -%}
  {#- SQL literal of the scenario's name; it becomes part of keys and of file names. -#}
  {%- set value = var("scenario_id") | string -%}
  {%- if not modules.re.fullmatch("[A-Za-z0-9_.-]{1,100}", value) -%}
    {{ exceptions.raise_compiler_error(
      "scenario_id must be 1 to 100 letters, digits, '_', '-' or '.'; got '" ~ value ~ "'."
    ) }}
  {%- endif -%}
'{{ value }}'
{%- endmacro -%}
