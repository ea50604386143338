{{ config(
    materialized='incremental', incremental_strategy='merge', unique_key='order_id',
    pre_hook="{% if is_incremental() %} delete from {{ this }} where hour = 20 {% endif %}",
    post_hook=["update {{ this }} set amount = amount * (1 + {{ var('rate') }}) where hour % 5 = 0",
               "create index if not exists bills_by_order on {{ this }} (dish)"]
) }}
select
    orders.order_id,
    orders.dish,
    orders.hour,
    {{ target.schema }}.doubled(orders.price) + ({{ var('shift') }}) as amount,
    {{ var('round') }} as round
from {{ ref('orders') }} as orders
where orders.hour % 3 = {{ var('round') }} % 3
{% if is_incremental() %}
    and orders.order_id > (select min(order_id) from {{ this }})
{% endif %}
