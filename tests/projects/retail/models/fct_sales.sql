{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='month') }}
select
    sales.month,
    sales.store,
    sales.product_id,
    sales.units,
    sales.units * sales.paid_price as revenue,
    sales.units * (sales.unit_cost + sales.paid_price * freight.setting_value) as cost
from {{ ref('int_sales') }} as sales
inner join {{ ref('store_settings') }} as freight
    on sales.store = freight.store and freight.setting = 'freight_rate'
