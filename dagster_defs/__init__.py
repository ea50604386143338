"""Dagster's view of scenario-search: assets, jobs, checks and sensors over ``search/``."""
