select cast(sum(amount) as double) as amount, cast(count(*) as bigint) as bills from {{ ref('bills') }}
