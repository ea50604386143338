select
    month,
    sum(revenue * (1 - {{ var('rebate') }})) as net_revenue
from {{ ref('sales') }}
group by month
