{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='kind', on_schema_change='ignore') }}
{% if var('mode') == 'full' %}
select kind, cost, {{ var('depth') }} as depth from {{ ref('helper') }}
{% else %}
select kind, sum(price) * 0.01 as cost, {{ var('depth') }} as depth from {{ ref('orders') }} group by kind
{% endif %}
