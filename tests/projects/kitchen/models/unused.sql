-- No metric reads it.
select '{{ var('label') }}' as label, sum(amount) as amount from {{ ref('bills') }}
