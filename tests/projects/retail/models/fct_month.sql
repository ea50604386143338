select
    month,
    sum(revenue) as revenue,
    sum(revenue - cost) as profit,
    sum(units) as units
from {{ ref('fct_sales') }}
where month = {{ var('month') }}
group by month
