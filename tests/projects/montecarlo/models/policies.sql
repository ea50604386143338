{{ config(materialized='table') }}

select
    range as policy_id,
    0.05 + 0.001 * (range % 50) as claim_rate
from range(2000)
