"""Find the parameters that make a dbt-on-DuckDB simulation hit its targets."""
