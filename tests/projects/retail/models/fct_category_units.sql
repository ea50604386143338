-- depends_on: {{ ref('products') }}
{% set categories = run_query('select distinct category from ' ~ ref('products') ~ ' order by 1').columns[0].values() if execute else [] %}
select
    month
    {%- for category in categories %},
    sum(units) filter (where category = '{{ category }}') as units_{{ category }}
    {%- endfor %}
from {{ ref('int_sales') }}
group by month
