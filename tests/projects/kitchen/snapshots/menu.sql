{% snapshot menu %}
{{ config(unique_key='kind', strategy='check', check_cols=['cost'], target_schema='cooking') }}
select kind, cost from {{ ref('costs') }}
{% endsnapshot %}
