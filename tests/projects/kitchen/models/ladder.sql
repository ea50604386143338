{# One CTE for each level: the var decides the statement's form. #}
with level_0 as (select sum(cost) as cost from {{ ref('costs') }})
{% for level in range(var('depth') | int) %}
, level_{{ level + 1 }} as (select cost * 1.5 as cost from level_{{ level }})
{% endfor %}
select cost from level_{{ var('depth') }}
