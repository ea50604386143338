{{ config(materialized='ephemeral') }}
select
    product_id,
    price,
    price * (1 - {{ var('promotion_depth') }}) as paid_price
from {{ ref('int_prices') }}
