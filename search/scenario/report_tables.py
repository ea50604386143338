"""Reads the tables of a study's report from a candidate's own database, by real dbt."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from datetime import time as clock_time
from decimal import Decimal
from functools import partial
from typing import Any

import duckdb

from search.errors import OUTSIDE, ScenarioError, SearchError
from search.scenario.duckdb_errors import first_paragraph
from search.scenario.evaluator import DbtEvaluator, DbtEvaluatorFactory, StageClock
from search.scenario.outcome import EvaluationRequest
from search.scenario.plan import ScenarioPlan
from search.scenario.relations import render_sql
from search.scenario.session import ACCESS_ADVICE
from search.scenario.steps import StepRunner, refuse_outside_writes
from search.study.report import ReportSpec
from search.study.steps import expand
from search.study.values import Scalar
from search.system.child import Report

MAX_ROWS = 1_000
"""Rows of a table that are kept; that there are more is said."""
MAX_CELL = 500
"""Characters of a text that are kept."""
SECONDS = 20.0
"""Time in which the tables of all plans are read; those of today and the plan are in any case."""

Rows = dict[str, Any]


class _ReportingEvaluator(DbtEvaluator):
    """The reference engine that also reads the report's tables, at the end.

    Args:
        factory: The plan and this process's limits.
        spec: What to run and to read.
    """

    def __init__(self, factory: DbtEvaluatorFactory, spec: ReportSpec) -> None:
        super().__init__(factory)
        self._spec = spec
        self.tables: dict[str, Rows] = {}

    def tables_of(self, request: EvaluationRequest) -> Mapping[str, Rows]:
        """Evaluate a candidate, and return its tables.

        Raises:
            SearchError: If the evaluation, a step or a table fails.
        """
        self.measure(request, StageClock())
        return dict(self.tables)

    def _learn(self, since: float) -> None:
        """Learn nothing: what a report reads decides no metric."""

    def look(self, candidate_vars: dict[str, Any]) -> None:
        """Run the report's own steps and read every table.

        Raises:
            SearchError: If a step or a table fails.
        """
        self.tables = _tables_of(self._spec, self._plan, self._runner, candidate_vars)


def _tables_of(
    spec: ReportSpec, plan: ScenarioPlan, runner: StepRunner, candidate_vars: dict[str, Any]
) -> dict[str, Rows]:
    """Run the report's own steps on an evaluated candidate's database and read every table.

    Args:
        spec: What to run and to read.
        plan: The scenario.
        runner: Has the candidate's database.
        candidate_vars: The candidate's dbt vars.

    Raises:
        SearchError: If a step or a table fails.
    """
    names = {**plan.project_vars, **candidate_vars}
    for step in expand(spec.steps, kind="report.steps"):
        runner.run(step, dbt_vars=candidate_vars, sql_vars=names)
    tables = {}
    with runner.connection() as connection:
        for name, table in spec.tables.items():
            key = f"report.tables.{name}.sql"
            sql = render_sql(table.sql, plan.relations, scenario_vars=names, key=key)
            refuse_outside_writes(sql)
            tables[name] = _read(connection, runner.led(sql, key), key)
    return tables


def _read(connection: Any, sql: str, key: str) -> Rows:
    try:
        cursor = connection.execute(sql)
        columns = [str(column[0]) for column in cursor.description or ()]
        rows = cursor.fetchmany(MAX_ROWS + 1)
    except duckdb.PermissionException as error:
        raise ScenarioError(
            f"{key}: {first_paragraph(error)}; {ACCESS_ADVICE}", stage=OUTSIDE
        ) from error
    except duckdb.Error as error:
        text = f"{key}: its SQL fails: {first_paragraph(error)}"
        raise ScenarioError(text, stage="metric") from error
    return {
        "columns": columns,
        "rows": [[_plain(value) for value in row] for row in rows[:MAX_ROWS]],
        "is_cut": len(rows) > MAX_ROWS,
    }


def _plain(value: Any) -> Scalar | None:
    """Return a value of DuckDB's as JSON has it."""
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, date | datetime | clock_time):
        return value.isoformat()
    return str(value)[:MAX_CELL]


@dataclass(frozen=True)
class PlanTables:
    """The tables of one plan.

    Attributes:
        trial: The trial that it is.
        tables: Each table's columns, rows and whether there are more; empty when it failed.
        failure: Why there are none; None when there are.
    """

    trial: int
    tables: Mapping[str, Rows]
    failure: str | None = None


def plan_tables(
    trial: int,
    spec: ReportSpec,
    plan: ScenarioPlan,
    runner: StepRunner,
    candidate_vars: dict[str, Any],
) -> PlanTables:
    """Return the tables of a trial that was just evaluated, or why there are none.

    Args:
        trial: The trial's number.
        spec: What to run and to read.
        plan: The scenario.
        runner: Has the trial's database.
        candidate_vars: The trial's dbt vars.
    """
    return _caught(trial, lambda: _tables_of(spec, plan, runner, candidate_vars))


def _caught(trial: int, read: Callable[[], Mapping[str, Rows]]) -> PlanTables:
    try:
        return PlanTables(trial, read())
    except (SearchError, duckdb.Error, OSError) as error:
        return PlanTables(trial, {}, str(error))


def read_tables(
    factory: DbtEvaluatorFactory,
    spec: ReportSpec,
    requests: Sequence[EvaluationRequest],
    needed: int,
    seconds: float = SECONDS,
    *,
    report: Report,
) -> list[PlanTables]:
    """Return the report's tables of some candidates, each from a database of its own.

    Args:
        factory: Makes the reference evaluator.
        spec: What to run and to read.
        requests: The candidates, the most wanted first; a request carries its trial's number.
        needed: How many of them are read however long that takes.
        seconds: The others are read as far as that time lasts.
        report: Takes a line of progress.
    """
    evaluator = _ReportingEvaluator(factory, spec)
    evaluator.open()
    read: list[PlanTables] = []
    started = time.monotonic()
    try:
        for position, request in enumerate(requests):
            passed = time.monotonic() - started
            if position >= needed and passed * (position + 1) / max(position, 1) > seconds:
                break
            report(f"reading the report's tables of trial {request.trial}")
            read.append(_caught(request.trial, partial(evaluator.tables_of, request)))
    finally:
        evaluator.close()
    return read
