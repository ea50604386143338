-- A year of 52 weeks, some of them on promotion. Grain: one row per product.
with demand as (

    select * from {{ ref('int_demand') }}

),

years as (

    select
        product,
        category,
        52 * (1 - {{ var('promotion_share') }}) * regular_units as regular_units,
        52 * {{ var('promotion_share') }} * promotion_units as promotion_units,
        regular_price,
        promotion_price,
        unit_cost
    from demand

)

select
    product,
    category,
    regular_units + promotion_units as units,
    regular_units * regular_price + promotion_units * promotion_price as revenue,
    regular_units * (regular_price - unit_cost) + promotion_units * (promotion_price - unit_cost) as profit
from years
