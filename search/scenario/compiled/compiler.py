"""Compiles a scenario: record, lift, slice, hoist, check against dbt, keep."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from search.child import Report
from search.errors import RecordingError, SearchError
from search.scenario.baseline import fsync, sweep_unfinished
from search.scenario.compiled.dataflow import BaselineRelation, Key
from search.scenario.compiled.emission import HOISTED, hoist_actions
from search.scenario.compiled.lifting import Unliftable, agrees, hole_texts, lift
from search.scenario.compiled.probes import is_watched, probe_values
from search.scenario.compiled.program import (
    FORMAT_VERSION,
    HOISTED_FILE,
    PROGRAM_FILE,
    CheckPoint,
    Program,
    load,
    save,
)
from search.scenario.compiled.recording import Recording, RecordingEvaluator
from search.scenario.compiled.replay import (
    ProgramEvaluator,
    ProgramEvaluatorFactory,
    perform,
)
from search.scenario.evaluator import DbtEvaluatorFactory, StageClock
from search.scenario.limits import DuckLimits, connect
from search.scenario.outcome import EvaluationRequest, ParameterValue
from search.scenario.plan import ScenarioPlan
from search.scenario.project import hash_parts
from search.spec import StudySpec

MAX_STATIC_VALUES = 12
"""Values of a parameter that are each recorded, when templates look at it."""

Values = Mapping[str, ParameterValue]


@dataclass(frozen=True)
class Compiled:
    """A compiled scenario.

    Attributes:
        folder: Where the program and its hoisted tables are.
        program: The program.
        was_compiled: Whether it was compiled now, and not found in the cache.
    """

    folder: Path
    program: Program
    was_compiled: bool


def program_folder(plan: ScenarioPlan, cache: Path) -> Path:
    """Return where the program of a plan is kept: by the content of all that it depends on."""
    key = hash_parts(
        [
            f"program format {FORMAT_VERSION}",
            plan.fingerprints["scenario"],
            json.dumps([vars(one) for one in (*plan.var_binds, *plan.table_binds)]),
        ]
    )
    return cache / key[:16]


def find_program(plan: ScenarioPlan, cache: Path) -> Compiled | None:
    """Return the program of a plan from the cache, or None."""
    folder = program_folder(plan, cache)
    if not (folder / PROGRAM_FILE).exists():
        return None
    try:
        return Compiled(folder, load(folder), was_compiled=False)
    except RecordingError:
        shutil.rmtree(folder, ignore_errors=True)
        return None


def compile_scenario(
    factory: DbtEvaluatorFactory,
    spec: StudySpec,
    cache: Path,
    first: Mapping[str, ParameterValue],
    *,
    report: Report,
) -> Compiled:
    """Return the program of a scenario: from the cache, or recorded and checked now.

    Args:
        factory: Makes the reference evaluator.
        spec: The study: what its parameters may be.
        cache: Folder of all programs.
        first: The candidate to record first (the current one); dbt's metrics of it are
            kept in the program's first check point.
        report: Takes a line of progress.

    Raises:
        RecordingError: If the scenario cannot be replayed; says which model and why.
        SearchError: If the scenario fails at the recorded values.
    """
    found = find_program(factory.plan, cache)
    if found is not None:
        report("the compiled scenario is in the cache")
        return found
    cache.mkdir(parents=True, exist_ok=True)
    sweep_unfinished(cache)
    building = Path(tempfile.mkdtemp(prefix=f".building-{os.getpid()}-", dir=cache))
    try:
        content = building / "content"
        content.mkdir()
        program = _Compilation(factory, spec, first, report).run()
        _hoist(program, factory, content, building / "hoist")
        save(program, content)
        report(_summary(program))
        _check(program, factory, content, report)
        folder = program_folder(factory.plan, cache)
        _publish(content, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Compiled(folder, load(folder), was_compiled=True)


class _Compilation:
    """Records at two points, and at every value of a parameter that templates look at."""

    def __init__(
        self, factory: DbtEvaluatorFactory, spec: StudySpec, first: Values, report: Report
    ) -> None:
        self._factory = factory
        self._plan = factory.plan
        self._spec = spec
        self._report = report
        self._first = dict(first)
        self._second = dict(probe_values(spec.parameters, point=1))
        self._checks: list[CheckPoint] = []
        for name, value in probe_values(spec.parameters, point=0).items():
            if self._second[name] == self._first[name]:
                self._second[name] = value
        self._var_bound = {bind.parameter for bind in self._plan.var_binds}

    def run(self) -> Program:
        recorder = RecordingEvaluator(self._factory)
        recorder.open()
        try:
            one = self._record(recorder, self._first, "1/2: the current parameters")
            two = self._record(recorder, self._second, "2/2: a point inside the ranges")
            static = self._static_parameters(one, two)
            if static:
                names = ", ".join(sorted(static))
                self._report(f"templates look at {names}: recording each of its values")
            try:
                lifted = lift(one, self._texts_of(self._first), two, self._texts_of(self._second))
            except Unliftable as error:
                raise RecordingError(str(error)) from error
            for name, values in static.items():
                self._prove(recorder, lifted, name, values)
        finally:
            recorder.close()
        baseline = read_baseline(self._plan)
        program = Program(
            statements=tuple(lifted),
            baseline=baseline,
            metrics=self._plan.metrics,
            bound=self._bound(baseline),
            catalog=self._plan.profile.catalog,
            default_schema="main",
            checks=tuple(self._checks),
        )
        self._refuse_data_dependent_text(program)
        return program

    def _record(self, recorder: RecordingEvaluator, values: Values, what: str) -> Recording:
        self._report(f"recording dbt {what}")
        replications = self._spec.scenario.replications
        seed = replications.values[0] if replications else None
        recording = recorder.record(EvaluationRequest(trial=0, values=values, replication=seed))
        if recording.unsupported:
            raise RecordingError("; ".join(recording.unsupported[:3]))
        self._checks.append(CheckPoint(dict(values), dict(recording.metrics)))
        return recording

    def _texts_of(self, values: Values) -> dict[str, ParameterValue]:
        return {name: value for name, value in values.items() if name in self._var_bound}

    def _static_parameters(self, one: Recording, two: Recording) -> dict[str, list[ParameterValue]]:
        """Return the parameters that templates look at, each with the values still to record."""
        uses = {name: one.uses.get(name, set()) | two.uses.get(name, set()) for name in self._first}
        static = {}
        for name in sorted(self._var_bound):
            if not uses[name] and is_watched(self._first[name]):
                continue
            parameter = self._spec.parameters[name]
            values = _all_values(parameter)
            if values is None:
                where = "; ".join(sorted(uses[name])[:2])
                raise RecordingError(
                    f"dbt templates look at the value of parameter {name} ({where}), so its SQL "
                    "cannot be told from two recordings"
                )
            recorded = (self._first[name], self._second[name])
            static[name] = [value for value in values if value not in recorded]
        return static

    def _prove(
        self, recorder: RecordingEvaluator, lifted: Any, name: str, values: list[ParameterValue]
    ) -> None:
        """Record every other value of a parameter, and see that the templates give its SQL."""
        for value in values:
            candidate = self._second | {name: value}
            recording = self._record(recorder, candidate, f"{name} = {value}")
            if not agrees(lifted, recording, self._texts_of(candidate)):
                raise RecordingError(
                    f"dbt renders other statements for {name} = {value} than for its other values"
                )

    def _bound(self, baseline: tuple[BaselineRelation, ...]) -> tuple[Key, ...]:
        by_sql_name = {
            f'"{self._plan.profile.catalog}"."{one.schema}"."{one.name}"'.lower(): one.key
            for one in baseline
        }
        keys = []
        for bind in self._plan.table_binds:
            key = by_sql_name.get(bind.relation.lower())
            if key is None:
                raise RecordingError(f"table {bind.table} is not a table of the baseline")
            keys.append(key)
        return tuple(dict.fromkeys(keys))

    def _refuse_data_dependent_text(self, program: Program) -> None:
        for operation in program.flow.operations:
            statement = operation.statement
            if (
                statement.effect.kind == "read"
                and statement.node is not None
                and operation.reads & program.split.tainted
            ):
                raise RecordingError(
                    f"{statement.node} asks for data that a parameter changes while it renders "
                    "its SQL"
                )


def _all_values(parameter: Any) -> list[ParameterValue] | None:
    """Return every value of a parameter when they are few, else None."""
    if parameter.choices is not None:
        values = list(parameter.choices)
    elif parameter.kind == "integer":
        low, high = parameter.bounds
        values = list(range(int(low), int(high) + 1, int(parameter.grid_step or 1)))
    else:
        return None
    return values if len(values) <= MAX_STATIC_VALUES else None


def read_baseline(plan: ScenarioPlan) -> tuple[BaselineRelation, ...]:
    """Return what the baseline's database holds."""
    with connect(plan.baseline, read_only=True) as connection:
        constrained = {
            (row[0], row[1])
            for row in connection.execute(
                "select distinct schema_name, table_name from duckdb_constraints()"
                " where database_name = current_database()"
            ).fetchall()
        }
        tables = connection.execute(
            "select schema_name, table_name, sql from duckdb_tables()"
            " where database_name = current_database() and not internal order by all"
        ).fetchall()
        views = connection.execute(
            "select schema_name, view_name, sql from duckdb_views()"
            " where database_name = current_database() and not internal order by all"
        ).fetchall()
    return (
        *(
            BaselineRelation(schema, name, "table", sql if (schema, name) in constrained else None)
            for schema, name, sql in tables
        ),
        *(BaselineRelation(schema, name, "view", sql) for schema, name, sql in views),
    )


def _hoist(program: Program, factory: DbtEvaluatorFactory, content: Path, scratch: Path) -> None:
    """Run once what no parameter touches, and keep what candidates read of it."""
    limits = DuckLimits(
        memory_limit_bytes=factory.memory_limit_bytes,
        threads=factory.threads,
        temp_directory=scratch / "spill",
        max_temp_bytes=factory.max_temp_bytes,
    )
    scratch.mkdir()
    database = scratch / factory.plan.baseline.name
    shutil.copyfile(factory.plan.baseline, database)
    hoisted = content / HOISTED_FILE
    texts = hole_texts({})
    with connect(database, limits) as connection:
        connection.execute(f"attach '{hoisted}' as {HOISTED}")
        for action in hoist_actions(program.flow, program.split):
            try:
                perform(connection, action, lambda template: template.fill(texts))
            except duckdb.Error as error:
                raise RecordingError(f"a hoisted statement fails in replay: {error}") from error
        connection.execute(f"checkpoint {HOISTED}")
        connection.execute(f"detach {HOISTED}")


def _check(program: Program, factory: DbtEvaluatorFactory, folder: Path, report: Report) -> None:
    """Replay every recorded candidate, and compare with what dbt made of it."""
    for isolation in ("overlay", "copy"):
        evaluator = ProgramEvaluator(
            ProgramEvaluatorFactory(
                plan=factory.plan,
                program_folder=folder,
                isolation=isolation,
                memory_limit_bytes=factory.memory_limit_bytes,
                max_temp_bytes=factory.max_temp_bytes,
                threads=factory.threads,
                scratch_parent=factory.scratch_parent,
            )
        )
        evaluator.open()
        try:
            for point in program.checks:
                check_point(evaluator, point, factory)
        finally:
            evaluator.close()
    report(f"replay agrees with dbt at {len(program.checks)} points, on overlay and file copy")


def check_point(
    evaluator: ProgramEvaluator, point: CheckPoint, factory: DbtEvaluatorFactory
) -> None:
    """Compare a replay with dbt at one candidate.

    Raises:
        RecordingError: If a metric differs: exactly with one thread, else by 1e-9.
    """
    replications = factory.plan.replication_var is not None
    seed = point.values.get(factory.plan.replication_var or "") if replications else None
    try:
        metrics = evaluator.measure(
            EvaluationRequest(trial=0, values=point.values, replication=seed), StageClock()
        )
    except SearchError as error:
        raise RecordingError(f"a replayed statement fails where dbt's did not: {error}") from error
    allowed = 0.0 if factory.threads == 1 else 1e-9
    for name, expected in point.metrics.items():
        if abs(metrics[name] - expected) > allowed * abs(expected):
            raise RecordingError(
                f"replay gives {name} = {metrics[name]!r} where dbt gives {expected!r} "
                f"({evaluator.isolation})"
            )


def _publish(content: Path, folder: Path) -> None:
    for file in content.iterdir():
        fsync(file)
        file.chmod(0o444)
    fsync(content)
    try:
        content.rename(folder)
    except OSError:
        if not (folder / PROGRAM_FILE).exists():
            raise
        # Another process finished the same program first.
    fsync(folder.parent)


def _summary(program: Program) -> str:
    split = program.split
    total = sum(one.effect.kind not in ("read", "nothing") for one, _ in program.statements)
    return (
        f"of {total} statements that change something, {len(split.replayed)} are replayed for "
        f"each candidate and {len(split.hoisted - split.replayed)} run once"
    )
