-- Demand of 200 weeks. A draw depends on the seed and the week alone, so that candidates meet the
-- same futures. Grain: one row per week.
with weeks as (

    select unnest(range(1, 201)) as week

),

draws as (

    select
        week,
        (hash({{ var('random_seed') }}, week, 'a') % 1000003 + 1) / 1000004.0 as first_draw,
        (hash({{ var('random_seed') }}, week, 'b') % 1000003 + 1) / 1000004.0 as second_draw
    from weeks

),

demand as (

    select
        week,
        -- Box and Muller (1958): two uniform draws make a normal one.
        greatest(0, round(100 + 20 * sqrt(-2 * ln(first_draw)) * cos(2 * pi() * second_draw))) as pieces
    from draws

)

select * from demand
