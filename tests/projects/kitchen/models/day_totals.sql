{{ config(alias='Day-Totals é', schema='Odd Side') }}
select
    sum(bills.amount) as amount,
    (select sum("Tip €") from {{ ref('tips') }}) as tips,
    {{ var('round') }} as round
from {{ ref('bills') }} as bills
