select
    product_id,
    price,
    price as paid_price
from {{ ref('int_prices') }}
