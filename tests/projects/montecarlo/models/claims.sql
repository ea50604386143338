{{ config(materialized='incremental') }}

-- plain random(), as people write it: scenario.seed makes it repeatable
with drawn as (
    select
        policy_id,
        random() < claim_rate as has_claim,
        -1500.0 * ln(1.0 - random()) as damage
    from {{ ref('policies') }}
)

select
    {{ var('year') }} as year,
    policy_id,
    damage,
    greatest(damage - {{ var('deductible') }}, 0.0) as paid
from drawn
where has_claim
