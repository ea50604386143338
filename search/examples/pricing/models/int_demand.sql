-- Units sold a week: demand answers the price that is paid on average, by its elasticity.
with products as (

    select * from {{ ref('products') }}

),

prices as (

    select
        *,
        list_price * {{ var('price_factor') }} as regular_price,
        list_price * {{ var('price_factor') }} * (1 - {{ var('promotion_depth') }}) as promotion_price
    from products

),

demand as (

    select
        product,
        category,
        unit_cost,
        regular_price,
        promotion_price,
        weekly_units * power(regular_price / list_price, -elasticity) as regular_units,
        weekly_units * power(promotion_price / list_price, -elasticity) as promotion_units
    from prices

)

select * from demand
