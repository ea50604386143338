{{ config(materialized='view', schema='Odd Side') }}
select bills.order_id, bills.amount * levers.value as "Tip €"
from {{ ref('bills') }} as bills
inner join {{ ref('levers') }} as levers on levers.lever = 'tip'
