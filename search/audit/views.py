"""Views over the trail's tables: the questions that are asked most."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import duckdb

from search.audit.schema import AuditTables
from search.system.sql_text import literal, quoted


def view_statements(tables: AuditTables) -> list[str]:
    """Return the statements that create and comment the views.

    ``trial_summary`` has a column for each parameter and metric that occurs, so it is made
    anew at each publication.
    """
    kinds = {item.parameter: True for item in tables.parameters}
    kinds |= {item.parameter: False for item in tables.parameters if item.value is None}
    views = statements_by_view(kinds, {item.metric for item in tables.metrics})
    return [statement for _, statements in views for statement in statements]


def parameter_kinds(connection: duckdb.DuckDBPyConnection) -> dict[str, bool]:
    """Return the parameters that occur in a trail, and whether all their values are numbers."""
    if not _has(connection, "trial_parameters"):
        return {}
    rows = connection.execute(
        "SELECT parameter, bool_and(value IS NOT NULL) FROM trial_parameters GROUP BY parameter"
    ).fetchall()
    return {str(name): bool(is_number) for name, is_number in rows}


def metric_names(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the metrics that occur in a trail."""
    if not _has(connection, "trial_metrics"):
        return set()
    return {
        str(name)
        for (name,) in connection.execute("SELECT DISTINCT metric FROM trial_metrics").fetchall()
    }


def _has(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    named = "SELECT 1 FROM duckdb_tables() WHERE table_name = ?"
    return bool(connection.execute(named, [table]).fetchall())


def statements_by_view(
    parameters: Mapping[str, bool], metrics: Collection[str]
) -> list[tuple[str, list[str]]]:
    """Return each view's name, with the statements that create and comment it.

    Args:
        parameters: Names that occur, and whether all values of each are numbers.
        metrics: Names that occur.
    """
    return [
        (
            "trial_summary",
            [
                _trial_summary(parameters, metrics),
                "COMMENT ON VIEW trial_summary IS "
                "'One row a trial, a column a parameter and metric'",
            ],
        ),
        (
            "best_targets",
            [
                """
        CREATE VIEW best_targets AS
        SELECT m.study, m.trial, m.metric, m.value, m.unit, m.target_kind, m.target,
               m.target_low, m.target_high, m.tolerance, m.variance, m.is_met
        FROM trial_metrics AS m
        WHERE m.target_kind IS NOT NULL
          AND (m.study, m.trial) IN (SELECT (b.study, b.trial) FROM best_parameters AS b)
        """,
                "COMMENT ON VIEW best_targets IS 'Each target at the best trial of the study'",
            ],
        ),
        (
            "trial_repeat",
            [
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
            ],
        ),
    ]


def _trial_summary(parameters: Mapping[str, bool], metrics: Collection[str]) -> str:
    columns = []
    for name in sorted(parameters):
        # A parameter counts as text as soon as one trial has text for it.
        value = "value" if parameters[name] else "value_text"
        columns.append(_pivoted("p", value, "parameter", name, prefix="parameter"))
    for name in sorted(metrics):
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
    return (
        f"(SELECT any_value({alias}.{value}) FROM {table} AS {alias} "
        f"WHERE {alias}.study = t.study AND {alias}.trial = t.trial "
        f"AND {alias}.{key} = {literal(name)}) AS {quoted(f'{prefix}_{name}')}"
    )
