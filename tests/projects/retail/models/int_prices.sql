{{ config(materialized='view') }}
select
    product_id,
    category,
    unit_cost,
    base_units,
    list_price * {{ var('price_factor') }} as price
from {{ ref('products') }}
