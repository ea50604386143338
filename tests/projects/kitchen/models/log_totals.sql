{{ config(materialized='incremental', incremental_strategy='append') }}
select round, amount, tips, '{{ invocation_id }}' as run_id, '{{ run_started_at }}' as started
from {{ ref('day_totals') }}
