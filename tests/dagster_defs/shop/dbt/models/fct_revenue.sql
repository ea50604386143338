select
    product,
    price * {{ var('price_factor') }} * units * power({{ var('price_factor') }}, -elasticity) as revenue
from {{ ref('stg_products') }}
