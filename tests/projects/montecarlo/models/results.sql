{{ config(materialized='table') }}

select
    year,
    count(*) as claims,
    sum(paid) as paid,
    (select count(*) from {{ ref('policies') }}) * {{ var('premium') }} - sum(paid) as result
from {{ ref('claims') }}
group by year
