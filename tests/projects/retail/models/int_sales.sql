select
    {{ var('month') }} as month,
    store.store,
    products.product_id,
    products.category,
    offers.paid_price,
    {{ retail_rules.units_sold('products.base_units * calendar.season * footfall.setting_value', 'offers.paid_price / products.list_price') }} as units,
    products.unit_cost
from {{ ref('products') }} as products
inner join
{% if var('promotions') %}
    {{ ref('int_promotions') }}
{% else %}
    {{ ref('int_regular_prices') }}
{% endif %}
    as offers using (product_id)
cross join (select distinct store from {{ ref('store_settings') }}) as store
inner join {{ ref('store_settings') }} as footfall
    on footfall.store = store.store and footfall.setting = 'footfall'
inner join {{ ref('stg_calendar') }} as calendar on calendar.month = {{ var('month') }}
