{#- A configuration table that lacks a row would drop people or their pay from every sum without a
    word. These macros say in full what is missing and where; a model that reads the table stops
    with it. -#}

{%- macro seed_file(seed) -%}{{ seed }} (seeds/{{ seed }}.csv){%- endmacro -%}

{%- macro level_problems(seed, columns) -%}
  {#- One row a problem of a seed that needs exactly one complete row for every job level. -#}
select '{{ seed_file(seed) }} has no row for job_level ' || wanted.job_level as problem
from {{ ref("config_job_levels") }} as wanted
anti join {{ ref(seed) }} as given on wanted.job_level = given.job_level
union all
select
  '{{ seed_file(seed) }} has ' || count(*) || ' rows for job_level '
  || coalesce(cast(given.job_level as varchar), '(empty)')
from {{ ref(seed) }} as given
group by given.job_level
having count(*) > 1
union all
select
  '{{ seed_file(seed) }} has a row for job_level ' || coalesce(cast(given.job_level as varchar), '(empty)')
  || ', which config_job_levels has not'
from {{ ref(seed) }} as given
anti join {{ ref("config_job_levels") }} as wanted on given.job_level = wanted.job_level
  {%- for column in columns %}
union all
select '{{ seed_file(seed) }} has no {{ column }} at job_level ' || given.job_level
from {{ ref(seed) }} as given
where given.{{ column }} is null
  {%- endfor %}
{%- endmacro -%}

{%- macro named_row_problems(seed, key, names, columns) -%}
  {#- The same for a seed that needs one complete row for each of a few names. -#}
select '{{ seed_file(seed) }} has no row for {{ key }} ' || wanted.name as problem
from (select unnest(['{{ names | join("', '") }}']) as name) as wanted
anti join {{ ref(seed) }} as given on wanted.name = given.{{ key }}
union all
select
  '{{ seed_file(seed) }} has ' || count(*) || ' rows for {{ key }} '
  || coalesce(cast(given.{{ key }} as varchar), '(empty)')
from {{ ref(seed) }} as given
group by given.{{ key }}
having count(*) > 1
  {%- for column in columns %}
union all
select '{{ seed_file(seed) }} has no {{ column }} for {{ key }} ' || coalesce(cast(given.{{ key }} as varchar), '(empty)')
from {{ ref(seed) }} as given
where given.{{ column }} is null
  {%- endfor %}
{%- endmacro -%}

{%- macro range_problems(seed, key, ranges) -%}
  {#- One row a value out of its range: `ranges` is (column, lowest, highest), both ends allowed. -#}
  {%- for column, lowest, highest in ranges %}
    {%- if not loop.first %}
union all
    {%- endif %}
select
  '{{ seed_file(seed) }}: {{ column }} must be from {{ lowest }} to {{ highest }}, got ' || given.{{ column }}
  || ' at {{ key }} ' || coalesce(cast(given.{{ key }} as varchar), '(empty)') as problem
from {{ ref(seed) }} as given
where given.{{ column }} not between {{ lowest }} and {{ highest }}
  {%- endfor %}
{%- endmacro -%}

{%- macro all_problems(relation) -%}
  {#- Every problem of a relation in one text, NULL without one. A scalar, so that the guard of a
      value can ask for it. -#}
(select string_agg(found.problem, '; ' order by found.problem) from {{ relation }} as found)
{%- endmacro -%}
