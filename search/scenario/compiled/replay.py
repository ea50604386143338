"""The fast engine: a program replayed over one warm connection, on an overlay or a file copy."""

from __future__ import annotations

import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from search.errors import ScenarioError
from search.scenario.compiled.emission import (
    BASELINE,
    HOISTED,
    Action,
    quoted,
    replay_actions,
    sql_name,
)
from search.scenario.compiled.lifting import Template, hole_texts
from search.scenario.compiled.program import HOISTED_FILE, Program, load
from search.scenario.evaluator import Evaluator, StageClock
from search.scenario.limits import RESOURCE_SETTINGS, DuckLimits
from search.scenario.metrics import MetricReader
from search.scenario.outcome import EvaluationRequest, ParameterValue
from search.scenario.plan import ScenarioPlan
from search.scenario.workspace import copy_error
from search.scratch import create_scratch, remove_scratch

SECONDS_PLACES = 6


@dataclass(frozen=True)
class ProgramEvaluatorFactory:
    """Makes a fast evaluator inside a worker process; travels there by pickle.

    Attributes:
        plan: The prepared scenario.
        program_folder: Where the program and its hoisted tables are.
        isolation: ``overlay`` or ``copy``.
        memory_limit_bytes: DuckDB's limit for one worker.
        max_temp_bytes: The most that one worker may spill to disk.
        threads: DuckDB threads of one worker.
        scratch_parent: Where workers make their scratch folders; the temp folder when None.
    """

    plan: ScenarioPlan
    program_folder: Path
    isolation: str
    memory_limit_bytes: int
    max_temp_bytes: int
    threads: int
    scratch_parent: Path | None = None

    def __call__(self) -> Evaluator:
        """Return a new evaluator, not opened yet."""
        return ProgramEvaluator(self)


class ReplayWorkspace(ABC):
    """Where a program runs: a connection whose catalog has the name that the SQL carries.

    Obligations of an implementation: after ``begin`` the catalog is as the baseline left it
    (or empty beside it), and nothing that runs in it reaches the baseline.
    """

    is_attached: bool
    """Whether the baseline is attached beside an empty catalog."""

    def __init__(self, plan: ScenarioPlan, program_folder: Path, limits: DuckLimits) -> None:
        self._plan = plan
        self._hoisted = program_folder / HOISTED_FILE
        self._limits = limits
        self.connection: Any = None

    @abstractmethod
    def begin(self) -> None:
        """Bring the catalog into its first state."""

    @abstractmethod
    def end(self) -> None:
        """Forget what ran."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection and remove every file."""

    def _connect(self, path: str) -> Any:
        output = self._plan.profile.output
        options = {
            key: value
            for key, value in (output.get("config_options") or {}).items()
            if key.lower() not in RESOURCE_SETTINGS
        }
        connection = duckdb.connect(path, config=options | self._limits.config())
        for extension in output.get("extensions") or []:
            if isinstance(extension, str):
                connection.load_extension(extension)
        for key, value in (output.get("settings") or {}).items():
            if key.lower() not in RESOURCE_SETTINGS:
                connection.execute(f"set {key} = '{_escaped(value)}'")
        for attachment in output.get("attach") or []:
            alias = f" as {attachment['alias']}" if attachment.get("alias") else ""
            connection.execute(f"attach '{_escaped(attachment['path'])}'{alias} (read_only)")
        if self._hoisted.exists():
            connection.execute(f"attach '{_escaped(self._hoisted)}' as {HOISTED} (read_only)")
        return connection

    def _enter(self, catalog: str) -> None:
        self.connection.execute(f"use {quoted(catalog)}.main")


class OverlayWorkspace(ReplayWorkspace):
    """An empty in-memory catalog over the baseline, which all workers of a node share."""

    is_attached = True

    def begin(self) -> None:
        """Attach a fresh catalog."""
        if self.connection is None:
            self.connection = self._connect(":memory:")
            path = _escaped(self._plan.baseline)
            self.connection.execute(f"attach '{path}' as {BASELINE} (read_only)")
        catalog = quoted(self._plan.profile.catalog)
        self.connection.execute(f"attach ':memory:' as {catalog}")
        self._enter(self._plan.profile.catalog)

    def end(self) -> None:
        """Detach the catalog with all that it holds."""
        if self.connection is not None:
            catalog = quoted(self._plan.profile.catalog)
            self.connection.execute("use memory")
            self.connection.execute(f"detach database if exists {catalog}")

    def close(self) -> None:
        """Close the connection."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class CopyWorkspace(ReplayWorkspace):
    """A file copy of the baseline for each evaluation."""

    is_attached = False

    def __init__(
        self, plan: ScenarioPlan, program_folder: Path, limits: DuckLimits, *, folder: Path
    ) -> None:
        super().__init__(plan, program_folder, limits)
        self._folder = folder

    def begin(self) -> None:
        """Copy the baseline and open the copy."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / self._plan.baseline.name
        try:
            shutil.copyfile(self._plan.baseline, path)
        except OSError as error:
            raise copy_error(error, self._plan.baseline, self._folder) from error
        self.connection = self._connect(str(path))
        self._enter(self._plan.profile.catalog)

    def end(self) -> None:
        """Close and remove the copy."""
        self.close()

    def close(self) -> None:
        """Close and remove the copy."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        shutil.rmtree(self._folder, ignore_errors=True)


class ProgramEvaluator(Evaluator):
    """The fast engine: evaluates a candidate by replaying recorded SQL.

    Args:
        factory: The plan, the program and this worker's limits.
    """

    engine = "compiled"

    def __init__(self, factory: ProgramEvaluatorFactory) -> None:
        self._factory = factory
        self._plan = factory.plan
        self.isolation = factory.isolation
        self._scratch: Path | None = None
        self.operation_seconds: dict[int, float] = {}
        """Wall time of each recorded operation in the last evaluation, in seconds."""

    def open(self) -> None:
        """Load the program and prepare the workspace."""
        factory = self._factory
        self._program: Program = load(factory.program_folder)
        self._scratch = create_scratch(factory.scratch_parent)
        limits = DuckLimits(
            memory_limit_bytes=factory.memory_limit_bytes,
            threads=factory.threads,
            temp_directory=self._scratch / "spill",
            max_temp_bytes=factory.max_temp_bytes,
        )
        self._workspace: ReplayWorkspace
        if factory.isolation == "overlay":
            self._workspace = OverlayWorkspace(self._plan, factory.program_folder, limits)
        else:
            self._workspace = CopyWorkspace(
                self._plan, factory.program_folder, limits, folder=self._scratch / "workspace"
            )
        self._actions = replay_actions(
            self._program.flow, self._program.split, is_attached=self._workspace.is_attached
        )
        self._schema = str(self._plan.profile.output.get("schema", "main"))

    def measure(self, request: EvaluationRequest, stages: StageClock) -> dict[str, float]:
        """Replay the program and return the candidate's metrics.

        Raises:
            ScenarioError: If a statement fails; names the step and the dbt model.
        """
        self.operation_seconds = {}
        reader = MetricReader(self._plan.metrics)
        values = dict(request.values)
        if self._plan.replication_var is not None and request.replication is not None:
            values[self._plan.replication_var] = request.replication
        texts = hole_texts(values)
        try:
            with stages.stage("workspace"):
                self._workspace.begin()
                for schema in self._program.schemas:
                    self._workspace.connection.execute(
                        f"create schema if not exists {quoted(schema)}"
                    )
            with stages.stage("bind"):
                self._write_table_cells(values)
            metrics: dict[str, float] = {}
            for action in self._actions:
                if action.kind == "read":
                    with stages.stage("metrics"):
                        metrics = self._read(reader, action) or metrics
                else:
                    with stages.stage(self._stage_of(action, stages.current)):
                        self._act(action, texts)
            return metrics
        finally:
            self._workspace.end()

    def close(self) -> None:
        """Close the connection and remove this worker's folder."""
        if self._scratch is not None:
            self._workspace.close()
            remove_scratch(self._scratch)
            self._scratch = None

    def _write_table_cells(self, values: Mapping[str, ParameterValue]) -> None:
        """Write table-bound values, on copies of the tables when the baseline is attached."""
        connection = self._workspace.connection
        for relation in self._program.baseline:
            if relation.key in self._program.bound and self._workspace.is_attached:
                source = sql_name((relation.schema, relation.name), BASELINE)
                own_table(connection, relation.key, source, relation.sql)
        for bind in self._plan.table_binds:
            connection.execute(bind.update_sql(), [values[bind.parameter]])

    def _stage_of(self, action: Action, current: str) -> str:
        if action.operation is None:
            return "replay" if current in ("workspace", "bind", "metrics") else current
        return self._program.flow.operations[action.operation].statement.step

    def _act(self, action: Action, texts: Mapping[str, str]) -> None:
        started = time.perf_counter()
        connection = self._workspace.connection
        try:
            if self._is_authors_own(action):
                with self._author_schema():
                    perform(connection, action, lambda template: template.fill(texts))
            else:
                perform(connection, action, lambda template: template.fill(texts))
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            statement = (
                self._program.flow.operations[action.operation].statement
                if action.operation is not None
                else None
            )
            raise ScenarioError(
                str(error),
                stage="step",
                step=statement.step if statement else None,
                model=statement.node if statement else None,
            ) from error
        if action.operation is not None:
            spent = time.perf_counter() - started
            self.operation_seconds[action.operation] = round(spent, SECONDS_PLACES)

    def _is_authors_own(self, action: Action) -> bool:
        if action.operation is None:
            return False
        return self._program.flow.operations[action.operation].statement.node is None

    def _read(self, reader: MetricReader, action: Action) -> dict[str, float]:
        connection = self._workspace.connection
        with self._author_schema():
            if action.marker is not None:
                reader.read_after(connection, *action.marker)
                return {}
            return dict(reader.finish(connection))

    @contextmanager
    def _author_schema(self) -> Iterator[None]:
        """Resolve unqualified names of the author's own SQL in the profile's schema."""
        if self._schema == "main":
            yield
            return
        catalog = quoted(self._plan.profile.catalog)
        self._workspace.connection.execute(f"use {catalog}.{quoted(self._schema)}")
        try:
            yield
        finally:
            self._workspace.connection.execute(f"use {catalog}.main")


def perform(connection: Any, action: Action, fill: Callable[[Template], str]) -> None:
    """Do one action on a workspace's connection."""
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
            connection.execute(f"create view {name} as from {action.source}")
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


def own_table(connection: Any, key: tuple[str, str], source: str, definition: str | None) -> None:
    """Make a table of the workspace from an attached one, with its constraints if it has any."""
    name = sql_name(key)
    if definition is None:
        connection.execute(f"create table {name} as from {source}")
        return
    connection.execute(definition)
    connection.execute(f"insert into {name} from {source}")


def _escaped(value: object) -> str:
    return str(value).replace("'", "''")
