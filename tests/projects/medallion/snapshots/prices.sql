{% snapshot prices %}
{{ config(unique_key='product_id', strategy='check', check_cols=['price']) }}

select
    product_id,
    list_price * {{ var('price_factor') }} * (1 - {{ var('rebate') }} * ({{ var('month') }} - 1)) as price
from {{ ref('products') }}
{% endsnapshot %}
