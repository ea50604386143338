"""The assets: what a study yields, and the dbt models before and after it."""
