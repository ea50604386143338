{%- macro years_of_bands(seed, over, columns, name=none, shares=()) -%}
  {#- The bands of a seed expanded to one row a full year, so that a person finds theirs by an equality join.
      They are over `over`, from min_ to max_ of it, and are named by `name`, or by where they begin. -#}
  {%- set first, end = "min_" ~ over, "max_" ~ over -%}
  {%- set band = "coalesce(cast(" ~ (name or first) ~ " as varchar), '(no name)')" -%}
with bands as (
  -- An empty seed leaves one row without a name, which is refused.
  select configured.*
  from (select 1 as always) as one -- noqa: ST11
  left join {{ ref(seed) }} as configured on true
),

checked as (
  select
    *,
    case
      when {% for column in columns if column != name %}{{ column }} is null or {% endfor %}{{ first }} is null{% if name %} or {{ name }} is null{% endif %}

        then error('{{ seed_file(seed) }} has no rows or an empty value in band ' || {{ band }})
  {%- for share in shares %}
      when {{ share }} < 0 or {{ share }} > 1
        then error('{{ seed_file(seed) }}: {{ share }} must be from 0 to 1, got ' || {{ share }} || ' in band ' || {{ band }})
  {%- endfor %}
  {%- for column in columns if column != name and column not in shares %}
      when {{ column }} < 0
        then error('{{ seed_file(seed) }}: {{ column }} must be 0 or more, got ' || {{ column }} || ' in band ' || {{ band }})
  {%- endfor %}
      when lead({{ first }}) over (order by {{ first }}) is null and {{ end }} is not null
        then error(
          '{{ seed_file(seed) }}: {{ end }} of the last band must be empty, or nobody '
          || 'of ' || {{ end }} || ' years and more would be simulated; see band ' || {{ band }}
        )
      when coalesce(lag({{ end }}) over (order by {{ first }}), 0) <> {{ first }}
        then error('{{ seed_file(seed) }} must start at 0 and have no gaps or overlaps, see band ' || {{ band }})
      when lead({{ first }}) over (order by {{ first }}) is not null and {{ end }} is null
        then error('{{ seed_file(seed) }}: only the last band may be open, see band ' || {{ band }})
      else {{ first }}
    end as first_year,
    coalesce({{ end }}, 201) as year_after_last
  from bands
),

expanded as (
  select
    cast(unnest(range(first_year, year_after_last)) as integer) as {{ over }},
    {% for column in columns -%}
    {%- if column in shares %}cast({{ column }} as double) as {{ column }}{% else %}{{ column }}{% endif -%}
    {%- if not loop.last %},
    {% endif -%}
    {%- endfor %}
  from checked
)

select * from expanded
{%- endmacro -%}
