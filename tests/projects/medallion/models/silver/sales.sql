{{ config(incremental_strategy='delete+insert', unique_key='order_id') }}

select
    orders.order_id,
    orders.month,
    orders.product_id,
    orders.quantity,
    orders.quantity * products.list_price * {{ var('price_factor') }} as revenue
from {{ ref('orders') }} as orders
inner join {{ ref('products') }} as products on orders.product_id = products.product_id
where orders.month = {{ var('month') }}
