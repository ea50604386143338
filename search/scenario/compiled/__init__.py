"""The compiled engine: dbt's statements recorded once, replayed as SQL for every candidate."""
