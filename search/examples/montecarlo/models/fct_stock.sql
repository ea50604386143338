-- What a week costs and whether it could be served. Grain: one row per week.
with demand as (

    select * from {{ ref('int_demand') }}

),

costs as (

    select
        max(eur) filter (item like 'holding%') as holding_eur,
        max(eur) filter (item like '%missing') as missing_eur
    from {{ ref('costs') }}

),

weeks as (

    select
        demand.week,
        demand.pieces,
        -- What is on its way when the week begins cannot be sold on its first days.
        greatest(0, {{ var('order_up_to') }} - 2.0 * {{ var('lead_days') }}) as available,
        costs.holding_eur,
        costs.missing_eur
    from demand
    cross join costs

),

outcomes as (

    select
        week,
        pieces,
        least(pieces, available) as served,
        greatest(0, pieces - available) as missing,
        greatest(0, available - pieces) * holding_eur + greatest(0, pieces - available) * missing_eur as eur
    from weeks

)

select * from outcomes
