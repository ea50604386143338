"""Reads the tables of a study's report from a candidate's own database, by real dbt."""

from __future__ import annotations

import contextlib
import json
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
from search.scenario.read_log import ReadLog
from search.scenario.relations import render_sql
from search.scenario.session import ACCESS_ADVICE
from search.scenario.steps import StepRunner, refuse_outside_writes
from search.scenario.world import World
from search.study.report import ReportSpec
from search.study.steps import expand
from search.study.values import Scalar
from search.system.child import Report

MAX_ROWS = 1_000
"""Rows of a table that are kept; that there are more is said."""
MAX_CELL = 500
"""Characters of a text that are kept."""
TABLES_FORMAT = 1
"""Goes up with the way in which tables are read and kept."""
SECONDS = 20.0
"""Time in which the tables of all plans are read; those of today and the plan are in any case."""

Rows = dict[str, Any]


class _ReportingEvaluator(DbtEvaluator):
    """The reference engine that also reads the report's tables, at the end.

    Args:
        factory: The plan and this process's limits.
        spec: What to run and to read.
        world: Takes what the tables follow from; None where nobody asks.
    """

    def __init__(
        self, factory: DbtEvaluatorFactory, spec: ReportSpec, world: World | None = None
    ) -> None:
        super().__init__(factory)
        self._spec = spec
        self._world = world
        self._since = 0.0
        self.tables: dict[str, Rows] = {}

    def tables_of(self, request: EvaluationRequest) -> Mapping[str, Rows]:
        """Evaluate a candidate, and return its tables.

        Raises:
            SearchError: If the evaluation, a step or a table fails.
        """
        self.measure(request, StageClock())
        return dict(self.tables)

    def _learn(self, since: float) -> None:
        """Learn nothing of the scenario: what a report reads decides no metric."""
        self._since = since

    def look(self, candidate_vars: dict[str, Any]) -> None:
        """Run the report's own steps and read every table.

        Raises:
            SearchError: If a step or a table fails.
        """
        self.tables = _tables_of(self._spec, self._plan, self._runner, candidate_vars)
        if self._world is not None:
            self._world.learn(self._reads, since=self._since)


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


def report_world(plan: ScenarioPlan, spec: ReportSpec) -> World | None:
    """Return what a report's tables read; they follow from none of the study's metrics."""
    text = json.dumps(spec.model_dump(mode="json"), sort_keys=True)
    return plan.recorded and plan.recorded.beside(f"report tables {TABLES_FORMAT} {text}")


@dataclass
class TablesAside:
    """Reads the report's tables of one candidate where dbt evaluates it for another reason.

    Attributes:
        spec: What to run and to read.
        values: The candidate.
        world: Takes what the tables follow from.
        tables: What was read; None until that succeeded.
    """

    spec: ReportSpec
    values: Mapping[str, Scalar]
    world: World | None
    tables: PlanTables | None = None

    def read(
        self,
        request: EvaluationRequest,
        plan: ScenarioPlan,
        runner: StepRunner,
        reads: ReadLog,
        since: float,
    ) -> None:
        """Read the tables of an evaluated candidate, if it is the one.

        Nothing of it stays in what was noticed for the scenario, and no failure is told: who
        needs the tables asks again.

        Args:
            request: What was evaluated.
            plan: The scenario.
            runner: Has the candidate's database.
            reads: What was noticed.
            since: When the evaluation began, in seconds since the epoch.
        """
        if self.tables is not None or dict(request.values) != dict(self.values):
            return
        notes = dict(runner.session.files.notes)
        with reads.apart(), contextlib.suppress(SearchError):
            tables = plan_tables(request.trial, self.spec, plan, runner, plan.vars_of(request))
            if self.world is not None and tables.failure is None:
                self.world.learn(reads, since=since)
            self.tables = tables if tables.failure is None else None
        runner.session.files.notes = notes


def read_tables(
    factory: DbtEvaluatorFactory,
    spec: ReportSpec,
    requests: Sequence[EvaluationRequest],
    needed: int,
    seconds: float = SECONDS,
    world: World | None = None,
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
        world: Takes what the tables follow from; None where nobody asks.
        report: Takes a line of progress.
    """
    evaluator = _ReportingEvaluator(factory, spec, world)
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
