{#- Rules of who leaves and when they are replaced; each off by default, and then in no statement. -#}

{%- macro has_retirement() -%}
  {{ return(choice("retirement", ["off", "seed"]) == "'seed'") }}
{%- endmacro -%}

{%- macro and_retired() -%}
  {%- if has_retirement() -%}
+ (select count(*) from {{ ref("int_retirements") }})
  {%- endif -%}
{%- endmacro -%}

{%- macro has_backfill() -%}{{ return(var("time_to_fill_days") is not none) }}{%- endmacro -%}

{%- macro time_to_fill_days() -%}
  {#- Checked where it is used, so that a search may try values of it. -#}
{%- set days = var("time_to_fill_days") %}
case
  when {{ days }} between 0 and 364 and {{ days }} % 1 = 0 then cast({{ days }} as integer)
  else error('time_to_fill_days must be null or a whole number from 0 to 364, got ' || {{ days }})
end
{%- endmacro -%}

{%- macro leaving_status(status, dismissed, key_high="key_high", key_low="key_low") -%}
  {#- The status of a leaver by hazard: of involuntary_share of them, drawn by person, that of a dismissal. -#}
  {%- set share = var("involuntary_share") -%}
  {%- if share is none -%}
'{{ status }}'
  {%- else -%}
case
  when not {{ share }} between 0 and 1 then error('involuntary_share must be null or from 0 to 1, got ' || {{ share }})
  when {{ draw("involuntary", key_high, key_low) }} < {{ share }} then '{{ dismissed }}'
  else '{{ status }}'
end
  {%- endif -%}
{%- endmacro -%}
