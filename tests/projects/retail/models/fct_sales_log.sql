{{ config(materialized='incremental', incremental_strategy='append') }}
select
    month,
    sum(units) as units,
    current_timestamp as logged_at,
    uuid() as entry_id,
    '{{ invocation_id }}' as invocation_id
from {{ ref('int_sales') }}
group by month
