"""From a candidate to its metrics: dbt project, baseline, workspace, evaluators."""
