"""Views over the trail's tables: the questions that are asked most."""

from __future__ import annotations

from search.audit.schema import AuditTables


def view_statements(tables: AuditTables) -> list[str]:
    """Return the statements that create and comment the views.

    ``trial_summary`` has a column for each parameter and metric that occurs, so it is made
    anew at each publication.
    """
    return [
        _trial_summary(tables),
        "COMMENT ON VIEW trial_summary IS 'One row a trial, a column a parameter and metric'",
        """
        CREATE VIEW best_targets AS
        SELECT m.study, m.trial, m.metric, m.value, m.unit, m.target_kind, m.target,
               m.target_low, m.target_high, m.tolerance, m.variance, m.is_met
        FROM trial_metrics AS m
        WHERE m.target_kind IS NOT NULL
          AND (m.study, m.trial) IN (SELECT (b.study, b.trial) FROM best_parameters AS b)
        """,
        "COMMENT ON VIEW best_targets IS 'Each target at the best trial of the study'",
        """
        CREATE VIEW trial_repeat AS
        SELECT t.study, t.trial, t.candidate, t.replications, t.details, t.engine, t.isolation,
               r.run_id, r.spec, r.spec_fingerprint, r.project_fingerprint,
               r.baseline_fingerprint, r.program_fingerprint, r.git_commit, r.git_is_dirty,
               r.scenario_search_version, r.dbt_core_version, r.dbt_duckdb_version,
               r.duckdb_version, r.optuna_version, r.ray_version, r.python_version
        FROM search_trials AS t
        LEFT JOIN search_runs AS r ON r.study = t.study AND r.run_id = t.run_id
        """,
        "COMMENT ON VIEW trial_repeat IS 'What it takes to repeat a trial exactly'",
    ]


def _trial_summary(tables: AuditTables) -> str:
    # A parameter counts as text as soon as one trial has text for it.
    texts = {item.parameter for item in tables.parameters if item.value is None}
    columns = []
    for name in sorted({item.parameter for item in tables.parameters}):
        value = "value_text" if name in texts else "value"
        columns.append(_pivoted("p", value, "parameter", name, prefix="parameter"))
    for name in sorted({item.metric for item in tables.metrics}):
        columns.append(_pivoted("m", "value", "metric", name, prefix="metric"))
        columns.append(_pivoted("m", "variance", "metric", name, prefix="variance"))
    wide = "".join(f",\n  {column}" for column in columns)
    return f"""
        CREATE VIEW trial_summary AS
        SELECT t.study, t.trial, t.iteration, t.state, t.lineage, t.loss, t.is_all_targets_met,
               t.seconds, t.peak_memory_bytes, t.error_message{wide}
        FROM search_trials AS t
        ORDER BY t.study, t.trial
        """


def _pivoted(alias: str, value: str, key: str, name: str, *, prefix: str) -> str:
    table = {"p": "trial_parameters", "m": "trial_metrics"}[alias]
    text = name.replace("'", "''")
    column = f"{prefix}_{name}".replace('"', '""')
    return (
        f"(SELECT any_value({alias}.{value}) FROM {table} AS {alias} "
        f"WHERE {alias}.study = t.study AND {alias}.trial = t.trial "
        f"AND {alias}.{key} = '{text}') AS \"{column}\""
    )
