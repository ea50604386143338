{#- Every random decision of the simulation comes from these macros.

    A draw is a function of (random_seed, stream, person, year) and of nothing else: not of
    a lever, of row order, of the thread count or of the engine's own hash and random
    functions, which DuckDB does not promise to keep. A person has a 64-bit key (the first
    half of the MD5 of the id, kept as two 32-bit integers); a draw multiplies it with
    constants taken from the MD5 of seed, stream and year, keeps the middle 32 bits and mixes
    them in three rounds of multiply, xor with a constant, and x + (x >> 16). The last is
    written (x * 65537) >> 16, so that x stands in the SQL text once; without the xor the
    rounds would be nearly linear. All of it is exact BIGINT arithmetic without overflow:
    every product is below 2^62. -#}

{%- macro draw_streams() -%}
  {#- Number of each stream. Append new ones; a changed number changes every result. -#}
  {{ return({
    "termination": 1,
    "departure_day": 2,
    "reduction": 3,
    "promotion": 4,
    "promotion_raise": 5,
    "raise_month": 6,
    "hire_day": 7,
    "hire_age": 8,
    "hire_birthday": 9,
    "hire_pay": 10,
    "hire_department": 11,
    "hire_termination": 12,
    "hire_departure_day": 13,
    "rating": 14,
    "hire_gender": 15,
    "retirement": 16,
    "involuntary": 17,
    "hire_fte": 18,
    "census_level": 101,
    "census_age": 102,
    "census_birthday": 103,
    "census_tenure": 104,
    "census_hire_day": 105,
    "census_pay": 106,
    "census_department": 107,
    "census_former": 108,
    "census_departure_day": 109,
  }) }}
{%- endmacro -%}

{%- macro person_key_high(employee_id) -%}
cast('0x' || substr(md5({{ employee_id }}), 1, 8) as bigint)
{%- endmacro -%}

{%- macro person_key_low(employee_id) -%}
cast('0x' || substr(md5({{ employee_id }}), 9, 8) as bigint)
{%- endmacro -%}

{%- macro draw(stream, key_high="key_high", key_low="key_low", year=none, seed=none) -%}
  {#- SQL for a DOUBLE in [0, 1), a multiple of 2^-32. -#}
  {%- if stream not in draw_streams() -%}
    {{ exceptions.raise_compiler_error("Unknown draw stream '" ~ stream ~ "'; name it in draw_streams().") }}
  {%- endif -%}
  {%- set the_year = simulation_year() if year is none else year -%}
  {%- set the_seed = var("random_seed") if seed is none else seed -%}
  {%- set salt = "md5(concat(" ~ the_seed ~ ", '/" ~ draw_streams()[stream] ~ "/', " ~ the_year ~ "))" -%}
  {%- set multiplier_high = "(2 * cast('0x' || substr(" ~ salt ~ ", 1, 7) as bigint) + 1)" -%}
  {%- set multiplier_low = "(2 * cast('0x' || substr(" ~ salt ~ ", 8, 7) as bigint) + 1)" -%}
  {%- set offset = "cast('0x' || substr(" ~ salt ~ ", 15, 7) as bigint)" -%}
  {%- set bits = namespace(text="(((" ~ key_high ~ " * " ~ multiplier_high ~ " + " ~ key_low ~ " * " ~ multiplier_low
    ~ " + " ~ offset ~ ") >> 16) & 4294967295)") -%}
  {%- for mixing in range(3) -%}
    {%- set bits.text = "(((xor((" ~ bits.text ~ " * 73244475) & 4294967295, 3039394381) * 65537) >> 16) & 4294967295)" -%}
  {%- endfor -%}
(((({{ bits.text }}) * 73244475) & 4294967295) / cast(4294967296 as double))
{%- endmacro -%}

{%- macro least_draw(slot, slots) -%}
  {#- The least draw that falls on one of a number of equal slots (counted from 0) or beyond. A draw is a multiple of
      2^-32, so that comparing it with this is exactly floor(draw * slots) >= slot, without a product for each row. -#}
((({{ slot }}) * 4294967296 + ({{ slots }}) - 1) // ({{ slots }}) / cast(4294967296 as double))
{%- endmacro -%}

{%- macro slots_of_levels(people, job_levels, attribute) -%}
  {#- Slots for each value of an attribute at each level, as many as people have it there, in the order of the values:
      a hire gets one by least_draw. A level without people has those of all levels together. Whole-number weights:
      people. The arguments name relations and a column. -#}
select
  job_level,
  {{ attribute }},
  cast(weight as bigint) as weight,
  cast(sum(weight) over (partition by job_level order by {{ attribute }}) - weight as bigint) as first_slot,
  cast(sum(weight) over (partition by job_level) as bigint) as slots
from (
  select job_level, {{ attribute }}, count(*) as weight
  from {{ people }}
  group by job_level, {{ attribute }}
  union all
  select {{ job_levels }}.job_level, {{ people }}.{{ attribute }}, count(*) as weight
  from {{ job_levels }}
  cross join {{ people }}
  where {{ job_levels }}.job_level not in (select job_level from {{ people }})
  group by {{ job_levels }}.job_level, {{ people }}.{{ attribute }}
) as weighted
{%- endmacro -%}

{%- macro slot(draw) -%}
  {#- The row of a 10,000-row lottery table (see the lottery macro) that a draw falls on. -#}
cast(floor({{ draw }} * {{ lottery_slots() }}) as integer)
{%- endmacro -%}

{%- macro lottery_slots() -%}10000{%- endmacro -%}
