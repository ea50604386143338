{{ config(materialized='ephemeral') }}
select kind, sum(price * {{ var('rate') }}) as cost from {{ ref('orders') }} group by kind
