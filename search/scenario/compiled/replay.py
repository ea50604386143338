"""Replays a program for one candidate after the other, over one warm connection."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from search.errors import ScenarioError
from search.scenario.compiled.emission import BASELINE, HOISTED, Action, replay_actions, sql_name
from search.scenario.compiled.flow import TEMP_SCHEMA
from search.scenario.compiled.lifting import Template, hole_texts
from search.scenario.compiled.node_settings import NodeSettings
from search.scenario.compiled.parsing import ParsedStatements
from search.scenario.compiled.program import Program
from search.scenario.compiled.recording import RecordedStatement
from search.scenario.compiled.replay_workspace import (
    CopyWorkspace,
    OverlayWorkspace,
    ReplayWorkspace,
)
from search.scenario.compiled.step_times import StepTimes
from search.scenario.compiled.table_rules import given_columns
from search.scenario.compiled.walls import BeyondRecording, ReplayWalls, place_of
from search.scenario.duckdb_errors import first_line
from search.scenario.evaluator import DbtEvaluatorFactory, StageClock
from search.scenario.metric_reader import MetricReader
from search.scenario.outcome import EvaluationRequest
from search.scenario.outside_reads import refuse_outside_reads
from search.scenario.own_files import OwnFiles
from search.scenario.plan import ScenarioPlan
from search.scenario.seeds import set_seed
from search.study.values import Scalar
from search.system.confinement import ConfinedThread
from search.system.scratch import create_scratch, remove_scratch
from search.system.sql_text import quoted

OVERLAY, COPY = "overlay", "copy"
_CONDITION = re.compile(
    r"\bselect\s+(.*?)\s+as\s+failures,.*?\bas\s+should_warn,\s*(.*?)\s+as\s+should_error\b",
    re.IGNORECASE | re.DOTALL,
)
"""How a test's failures are counted, and when that fails, as dbt writes it."""


class Replay:
    """One program on one workspace.

    Args:
        factory: The plan and this worker's limits.
        program: What to replay.
        folder: Where the program's hoisted tables are.
        isolation: ``overlay`` or ``copy``.
        observer: Sees each statement that has run, and the connection that it ran on.
        also: Files that it may read beside those that the recordings read.

    Attributes:
        isolation: As given.
        program: As given.
        actions: What is done for each candidate, in order.
        operation_seconds: Wall time of each recorded operation in the last evaluation.
    """

    def __init__(
        self,
        factory: DbtEvaluatorFactory,
        program: Program,
        folder: Path,
        isolation: str,
        *,
        observer: Callable[[Action, Any], None] | None = None,
        also: Sequence[Path] = (),
    ) -> None:
        self.isolation = isolation
        self.operation_seconds: dict[int, float] = {}
        self._observer = observer
        self._seed: Scalar | None = None
        self._parsed = ParsedStatements()
        self._plan = factory.plan
        self.program = program
        self._scratch = create_scratch(factory.scratch_parent)
        limits = factory.limits(self._scratch)
        # A replay writes no files; it reads what the setup wrote.
        self._files = OwnFiles(
            self._plan.project_dir, self._scratch / "files", given=self._plan.setup_files
        )
        self._workspace: ReplayWorkspace
        if isolation == OVERLAY:
            self._workspace = OverlayWorkspace(self._plan, folder, limits, also=also)
        else:
            place = self._scratch / "workspace"
            self._workspace = CopyWorkspace(self._plan, folder, limits, folder=place, also=also)
        self.actions = tuple(
            replay_actions(program.flow, program.split, is_attached=self._workspace.is_attached)
        )
        self._times = StepTimes(self._plan, program)
        self._workspace.clock = self._times.clock
        self._workspace.attachments = program.attachments
        self._walls = ReplayWalls(self.actions, self._plan)
        self._thread = ConfinedThread([self._scratch])

    def measure(self, request: EvaluationRequest, stages: StageClock) -> dict[str, float]:
        """Replay the program within its walls and return the candidate's metrics.

        Raises:
            ScenarioError: If a statement fails; names the step and the dbt model.
            BeyondRecording: If it reads what no recording read.
            duckdb.OutOfMemoryException: If the limit does not suffice.
        """
        metrics: dict[str, float] = self._thread.call(lambda: self._measure(request, stages))
        return metrics

    def _measure(self, request: EvaluationRequest, stages: StageClock) -> dict[str, float]:
        self.operation_seconds = {}
        self._seed = self._plan.engine_seed(request)
        guard = None if self._plan.allow_external_access else refuse_outside_reads
        metrics = self._plan.metrics_of(request)
        reader = MetricReader(metrics, self._seed, self._files.led, guard)
        values = dict(request.values)
        if self._plan.replication_var is not None and request.replication is not None:
            values[self._plan.replication_var] = request.replication
        texts = hole_texts(values)
        try:
            with stages.stage("workspace"):
                self._workspace.begin()
                for schema in self.program.schemas:
                    self._run(f"create schema if not exists {quoted(schema)}")
            with stages.stage("bind"):
                self._write_table_cells(values)
            return self._replay(reader, texts, stages)
        finally:
            self._workspace.end()

    def close(self) -> None:
        """Close the connection and remove every file."""
        self._thread.call(self._workspace.close)
        self._thread.close()
        remove_scratch(self._scratch)

    def _replay(
        self, reader: MetricReader, texts: Mapping[str, str], stages: StageClock
    ) -> dict[str, float]:
        metrics: dict[str, float] = {}
        step = "replay"
        self._times.begin()
        settings = NodeSettings()
        for action in self.actions:
            self._times.move(self._workspace.connection, self._times.of_action(action))
            if action.kind == "read":
                settings.enter(self._workspace.connection, None)
                with stages.stage("metrics"):
                    metrics = self._read(reader, action) or metrics
                continue
            if action.operation is not None:
                statement = self.program.flow.operations[action.operation].statement
                step = statement.step
                settings.enter(self._workspace.connection, statement)
            with stages.stage(step):
                self._act(action, texts)
        return metrics

    def _write_table_cells(self, values: Mapping[str, Scalar]) -> None:
        """Write table-bound values, on copies of the tables when the baseline is attached."""
        for relation in self.program.baseline:
            if relation.key in self.program.bound and self._workspace.is_attached:
                source = sql_name((relation.schema, relation.name), BASELINE)
                own_table(self._workspace.connection, relation.key, source, relation.sql)
        for bind in self._plan.table_binds:
            self._run(bind.update_sql(), [values[bind.parameter]])

    def _act(self, action: Action, texts: Mapping[str, str]) -> None:
        started = time.perf_counter()
        connection = self._workspace.connection
        statement = None
        if action.operation is not None:
            statement = self.program.flow.operations[action.operation].statement
        is_authors_own = statement is not None and statement.node is None
        template = action.template
        if is_authors_own and template is not None and not self._plan.allow_external_access:
            if template.parameters:  # recorded for other values, in a session that was closed
                refuse_outside_reads(template.fill(texts))
        try:
            with author_schema(connection, self._plan, is_authors_own):
                if self._seed is not None and statement is not None and statement.place:
                    connection.execute(set_seed(self._seed, statement.place))
                self._walls.require_known(action, texts)
                perform(
                    connection,
                    action,
                    lambda template: self._parsed.of(template, texts, connection),
                )
                if statement is not None and statement.is_test:
                    refuse_failing_test(connection, statement)
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.PermissionException as error:
            raise BeyondRecording(f"{place_of(statement)}: {first_line(error)}") from error
        except duckdb.Error as error:
            step = statement.step if statement else None
            model = statement.node if statement else None
            raise ScenarioError(str(error), stage="step", step=step, model=model) from error
        if action.operation is not None:
            self.operation_seconds[action.operation] = time.perf_counter() - started
        if self._observer is not None and action.kind == "run":
            self._observer(action, connection)

    def _read(self, reader: MetricReader, action: Action) -> dict[str, float]:
        try:
            with author_schema(self._workspace.connection, self._plan, True):
                if action.marker is not None:
                    reader.read_after(self._workspace.connection, *action.marker)
                    return {}
                return dict(reader.finish(self._workspace.connection))
        except ScenarioError as error:
            if isinstance(error.__cause__, duckdb.PermissionException):
                raise BeyondRecording(error.message) from error
            raise

    def _run(self, sql: str, bindings: list[Scalar] | None = None) -> None:
        self._workspace.connection.execute(sql, bindings)


def refuse_failing_test(connection: Any, statement: RecordedStatement) -> None:
    """Fail a candidate as ``dbt build`` does, when a data test of it fails.

    Args:
        connection: Has just asked for the test's outcome.
        statement: What asked.

    Raises:
        ScenarioError: If the test fails, in dbt's words.
    """
    names = [column[0].lower() for column in connection.description]
    outcome = dict(zip(names, connection.fetchone() or (), strict=False))
    if not outcome.get("should_error"):
        return
    count = outcome.get("failures")
    condition = _CONDITION.search(statement.sql)
    limit = f" if {condition[2].removeprefix(condition[1]).strip()}" if condition else ""
    raise ScenarioError(
        f"Got {count} {'result' if count == 1 else 'results'}, configured to fail{limit}",
        stage="step",
        step=statement.step,
        model=statement.node,
    )


@contextmanager
def author_schema(connection: Any, plan: ScenarioPlan, is_authors_own: bool) -> Iterator[None]:
    """Resolve unqualified names of the author's own SQL in the profile's schema."""
    schema = str(plan.profile.output.get("schema", "main"))
    if not is_authors_own or schema == "main":
        yield
        return
    catalog = quoted(plan.profile.catalog)
    connection.execute(f"use {catalog}.{quoted(schema)}")
    try:
        yield
    finally:
        connection.execute(f"use {catalog}.main")


def perform(connection: Any, action: Action, fill: Callable[[Template], Any]) -> None:
    """Do one action on a workspace's connection; ``fill`` gives SQL or a parsed statement."""
    if action.kind == "run":
        assert action.template is not None
        connection.execute(fill(action.template))
        return
    assert action.key is not None
    name = sql_name(action.key)
    if action.kind == "bind":
        if action.definition is not None:
            connection.execute(action.definition)
        else:
            connection.execute(f"create {made_as('view', action.key)} as from {action.source}")
    elif action.kind == "own":
        assert action.source is not None
        own_table(connection, action.key, action.source, action.definition)
    elif action.kind == "drop":
        connection.execute(f"drop {'view' if action.is_view else 'table'} if exists {name}")
    elif action.kind == "rename":
        assert action.new_name is not None
        kind = "view" if action.is_view else "table"
        connection.execute(f"alter {kind} {name} rename to {quoted(action.new_name)}")
    elif action.kind == "export":
        connection.execute(f"create table {HOISTED}.main.v{action.version} as from {name}")


def made_as(kind: str, key: tuple[str, str]) -> str:
    """Return what is made, by its kind and name; before DuckDB 2.0 ``temp.x`` cannot be made.

    Example:
        >>> made_as("view", ("main", "a")), made_as("view", ("temp", "a"))
        ('view "main"."a"', 'temp view "a"')
    """
    return f"temp {kind} {quoted(key[1])}" if key[0] == TEMP_SCHEMA else f"{kind} {sql_name(key)}"


def own_table(connection: Any, key: tuple[str, str], source: str, definition: str | None) -> None:
    """Make a table of the workspace from an attached one, with its constraints if it has any."""
    name = sql_name(key)
    if definition is None:
        connection.execute(f"create {made_as('table', key)} as from {source}")
        return
    connection.execute(definition)
    columns = ", ".join(map(quoted, given_columns(definition)))
    connection.execute(f"insert into {name} ({columns}) select {columns} from {source}")
