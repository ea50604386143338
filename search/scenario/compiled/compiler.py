"""Compiles a scenario: record, lift, slice, hoist, check against dbt."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from search.errors import RecordingError, ScenarioError
from search.scenario.compiled.ahead import RecordingAhead
from search.scenario.compiled.checking import check
from search.scenario.compiled.dataflow import BaselineRelation, Key
from search.scenario.compiled.emission import HOISTED, hoist_actions, quoted
from search.scenario.compiled.lifting import Unliftable, agrees, hole_texts, lift
from search.scenario.compiled.probes import PROBE_DIGITS, is_watched, probe_values
from search.scenario.compiled.program import HOISTED_FILE, CheckPoint, Program, save
from search.scenario.compiled.recording import Recording, RecordingEvaluator
from search.scenario.compiled.replay import author_schema, perform
from search.scenario.compiled.statements import shortened
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.limits import connect
from search.scenario.outcome import EvaluationRequest
from search.scenario.plan import ScenarioPlan
from search.scenario.session import dbts_connection, escaped
from search.study.parameters import ParameterSpec
from search.study.values import Scalar
from search.system.child import Report

MAX_STATIC_VALUES = 12
"""Values of a parameter that are each recorded, when templates look at it."""
MAX_SECOND_VALUES = 1000
"""Values of an integer that are looked through for one that tells it from another."""
SECOND_POINTS = 4
"""Points inside the ranges that are tried, when the scenario fails at the first of them."""
SEED_STEP = 7919
"""Distance from a replication's first value to the one that stands for any other."""

Values = Mapping[str, Scalar]


class NeedsVariants(Exception):
    """dbt renders other statements for other values of these parameters.

    Args:
        names: Parameters with few values, for each of which a program is compiled.
        why: What showed it.
    """

    def __init__(self, names: Sequence[str], why: str) -> None:
        super().__init__(why)
        self.names = tuple(names)


@dataclass(frozen=True)
class Source:
    """What a program is compiled from.

    Attributes:
        factory: Makes the reference evaluator.
        parameters: What the study's parameters may be.
        replication: First value of the replication variable, or None.
        recorders: Recordings that may run at the same time, and replays that check them, 1 or
            2; each takes a worker's memory.
    """

    factory: DbtEvaluatorFactory
    parameters: Mapping[str, ParameterSpec]
    replication: Scalar | None
    recorders: int = 1


def compile_program(
    source: Source, first: Values, folder: Path, *, fixed: Sequence[str], report: Report
) -> Program:
    """Record a scenario, make its program in a folder, and check it against dbt.

    Args:
        source: What to compile from.
        first: The candidate to record first; dbt's metrics of it are kept in the program's
            first check point.
        folder: Where the program and its hoisted tables go; exists and is empty.
        fixed: Parameters that keep their value of ``first`` in this program.
        report: Takes a line of progress.

    Raises:
        NeedsVariants: If dbt renders other statements for some parameter's values, which
            are few; to be called again with those parameters fixed.
        RecordingError: If the scenario cannot be replayed; says which model and why.
        SearchError: If the scenario fails at the recorded values.
    """
    program = _Compilation(source, first, fixed, report).run()
    scratch = folder.with_name(f"{folder.name}-hoist")
    scratch.mkdir()
    try:
        _hoist(program, source.factory, folder, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    report(_summary(program))
    warnings = check(program, source.factory, folder, lanes=source.recorders, report=report)
    program = replace(program, warnings=warnings)
    save(program, folder)
    return program


class _Compilation:
    """Records at two points, and at every value of a parameter that templates look at."""

    def __init__(self, source: Source, first: Values, fixed: Sequence[str], report: Report) -> None:
        self._source = source
        self._plan = source.factory.plan
        self._report = report
        self._fixed = frozenset(fixed)
        self._first = dict(first)
        self._second = _second_point(source.parameters, self._first, self._fixed)
        self._checks: list[CheckPoint] = []
        self._existing: frozenset[str] = frozenset()
        self._lifted_names = {
            bind.parameter for bind in self._plan.var_binds if bind.parameter not in self._fixed
        }

    def run(self) -> Program:
        baseline = read_baseline(self._plan)
        self._existing = frozenset(one.key[1] for one in baseline)
        recorder = RecordingEvaluator(self._source.factory)
        recorder.open()
        try:
            lifted = self._lift(recorder)
        finally:
            recorder.close()
        program = Program(
            statements=tuple(lifted),
            baseline=baseline,
            metrics=self._plan.metrics,
            bound=self._bound(baseline),
            catalog=self._plan.profile.catalog,
            default_schema=str(self._plan.profile.output.get("schema", "main")),
            checks=tuple(self._checks),
        )
        _refuse_data_dependent_text(program)
        return program

    def _lift(self, recorder: RecordingEvaluator) -> Any:
        seed = self._source.replication
        other_seed = seed + SEED_STEP if type(seed) is int else seed
        one, two = self._record_both(recorder, seed, other_seed)
        static = self._static_parameters(one, two)
        try:
            lifted = lift(
                one,
                self._lifted_values(self._first, seed),
                two,
                self._lifted_values(self._second, other_seed),
                existing=self._existing,
            )
            for name, values in static.items():
                for value in values:
                    self._prove(recorder, lifted, self._second | {name: value}, other_seed, name)
        except Unliftable as error:
            names = {*static, *filter(self._has_few_values, error.names)}
            names = names or self._culprits(recorder, one, seed)
            if names:
                raise NeedsVariants(sorted(self._fixed | names), str(error)) from error
            raise RecordingError(str(error)) from error
        return lifted

    def _has_few_values(self, name: str) -> bool:
        """Whether a parameter is lifted that could have a program for each of its values."""
        parameter = self._source.parameters.get(name)
        is_free = name in self._lifted_names and parameter is not None
        return is_free and parameter is not None and all_values(parameter) is not None

    def _culprits(
        self, recorder: RecordingEvaluator, one: Recording, seed: Scalar | None
    ) -> set[str]:
        """Return which parameters of few values change the statements, each tried alone."""
        found: set[str] = set()
        start = self._lifted_values(self._first, seed)
        for name in sorted(filter(self._has_few_values, self._lifted_names)):
            values = self._first | {name: self._second[name]}
            what = f"{name} = {values[name]}: does it change the statements?"
            try:
                alone = self._record(recorder, values, seed, what)
                lift(one, start, alone, self._lifted_values(values, seed), existing=self._existing)
            except Unliftable:
                found.add(name)
            except ScenarioError as error:
                self._report(f"the scenario fails there: {error}")
        return found

    def _record_both(
        self,
        recorder: RecordingEvaluator,
        seed: Scalar | None,
        other_seed: Scalar | None,
    ) -> tuple[Recording, Recording]:
        """Record the first candidate and a point inside the ranges, together where allowed."""
        first = "1/2: the first candidate"
        if self._source.recorders < 2:
            one = self._record(recorder, self._first, seed, first)
            return one, self._record_second(recorder, other_seed)
        request = EvaluationRequest(trial=0, values=self._second, replication=other_seed)
        with RecordingAhead(self._source.factory, request) as ahead:
            one = self._record(recorder, self._first, seed, f"{first} (2/2 at the same time)")
            return one, self._record_second(recorder, other_seed, ahead)

    def _record_second(
        self,
        recorder: RecordingEvaluator,
        seed: Scalar | None,
        ahead: RecordingAhead | None = None,
    ) -> Recording:
        """Record inside the ranges; nearer to the first point when the scenario fails there."""
        for _ in range(SECOND_POINTS - 1):
            try:
                what, ahead_now, ahead = "2/2: inside the ranges", ahead, None
                return self._record(recorder, self._second, seed, what, ahead_now)
            except ScenarioError as error:
                self._report(f"the scenario fails there ({error}); trying nearer values")
                self._second = _nearer(self._source.parameters, self._first, self._second)
        return self._record(recorder, self._second, seed, "2/2: near the first candidate")

    def _record(
        self,
        recorder: RecordingEvaluator,
        values: Values,
        seed: Scalar | None,
        what: str,
        ahead: RecordingAhead | None = None,
    ) -> Recording:
        self._report(f"recording dbt {what}")
        request = EvaluationRequest(trial=0, values=values, replication=seed)
        started_at, started = time.time(), time.perf_counter()
        recording = recorder.record(request) if ahead is None else ahead.result()
        seconds = time.perf_counter() - started
        if recording.unsupported:
            raise RecordingError("; ".join(recording.unsupported[:3]))
        self._checks.append(CheckPoint(dict(values), seed, recording.metrics, seconds, started_at))
        return recording

    def _lifted_values(self, values: Values, seed: Scalar | None) -> dict[str, Any]:
        found = {name: value for name, value in values.items() if name in self._lifted_names}
        name = self._plan.replication_var
        return found if name is None or type(seed) is not int else found | {name: seed}

    def _static_parameters(self, one: Recording, two: Recording) -> dict[str, list[Scalar]]:
        """Return the parameters that templates look at, each with the values still to record."""
        uses = {
            name: one.uses.get(name, set()) | two.uses.get(name, set())
            for name in {*one.uses, *two.uses, *self._lifted_names}
        }
        static = {}
        for name in sorted(uses):
            if name in self._fixed or name not in self._source.parameters:
                if name == self._plan.replication_var and uses[name]:
                    raise RecordingError(
                        f"templates look at the value of {_seen(name, uses[name])}"
                    )
                continue
            if not uses[name] and is_watched(self._first[name]):
                continue
            values = all_values(self._source.parameters[name])
            if values is None:
                raise RecordingError(
                    f"templates look at the value of parameter {_seen(name, uses[name])}, so its "
                    "SQL cannot be told from two recordings"
                )
            recorded = (self._first[name], self._second[name])
            static[name] = [value for value in values if value not in recorded]
        return static

    def _prove(
        self,
        recorder: RecordingEvaluator,
        lifted: Any,
        values: Values,
        seed: Scalar | None,
        name: str,
    ) -> None:
        """Record another value of a parameter, and see that the templates give its SQL."""
        what = f"{name} = {values[name]}: templates look at it"
        recording = self._record(recorder, values, seed, what)
        if not agrees(lifted, recording, self._lifted_values(values, seed)):
            raise Unliftable(f"dbt renders other statements for {name} = {values[name]}")

    def _bound(self, baseline: tuple[BaselineRelation, ...]) -> tuple[Key, ...]:
        by_sql_name = {
            f'"{self._plan.profile.catalog}"."{one.schema}"."{one.name}"'.lower(): one.key
            for one in baseline
        }
        by_plain_name = {one.key[1]: one.key for one in baseline}
        keys = []
        for bind in self._plan.table_binds:
            plain = bind.relation.replace('"', "").split(".")[-1].lower()
            key = by_sql_name.get(bind.relation.lower(), by_plain_name.get(plain))
            if key is None:
                raise RecordingError(f"table {bind.table} is not a table of the baseline")
            keys.append(key)
        return tuple(dict.fromkeys(keys))


def _second_point(
    parameters: Mapping[str, ParameterSpec], first: Values, fixed: frozenset[str]
) -> dict[str, Scalar]:
    """Return a point inside the ranges that differs from the first in every free parameter.

    No two integers have the same value at both points, where the ranges allow it: they
    could not be told apart in SQL.
    """
    inside, other = probe_values(parameters, point=1), probe_values(parameters, point=0)
    second: dict[str, Scalar] = {}
    taken: set[tuple[Scalar, Scalar]] = set()
    for name, parameter in parameters.items():
        if name in fixed:
            second[name] = first[name]
            continue
        wanted = [inside[name], other[name]]
        if parameter.kind == "integer":
            low, high = parameter.bounds
            step = int(parameter.grid_step or 1)
            wanted += list(range(int(low), int(high) + 1, step))[:MAX_SECOND_VALUES]
        fresh = [one for one in wanted if one != first[name]] or wanted
        apart = [one for one in fresh if (first[name], one) not in taken] or fresh
        second[name] = apart[0]
        taken.add((first[name], apart[0]))
    return second


def _nearer(
    parameters: Mapping[str, ParameterSpec], first: Values, second: Values
) -> dict[str, Scalar]:
    """Return the point in the middle, still other than the first in every number."""
    middle = dict(second)
    for name, value in second.items():
        start = first[name]
        if parameters[name].kind == "float" and isinstance(start, int | float):
            assert isinstance(value, int | float)
            middle[name] = round(start + (value - start) / 2, PROBE_DIGITS)
    return middle


def _seen(name: str, uses: set[str]) -> str:
    return f"{name} ({'; '.join(sorted(uses)[:2])})" if uses else name


def all_values(parameter: ParameterSpec) -> list[Scalar] | None:
    """Return every value of a parameter when they are few, else None."""
    if parameter.choices is not None:
        values: list[Scalar] = list(parameter.choices)
    elif parameter.kind == "integer":
        low, high = parameter.bounds
        values = list(range(int(low), int(high) + 1, int(parameter.grid_step or 1)))
    else:
        return None
    return values if len(values) <= MAX_STATIC_VALUES else None


def read_baseline(plan: ScenarioPlan) -> tuple[BaselineRelation, ...]:
    """Return what the baseline's database holds."""
    own = "database_name = current_database()"
    with connect(plan.baseline, read_only=True) as connection:
        constrained = set(
            connection.execute(
                f"select distinct schema_name, table_name from duckdb_constraints() where {own}"
            ).fetchall()
        )
        tables = connection.execute(
            "select schema_name, table_name, sql from duckdb_tables()"
            f" where {own} and not internal order by all"
        ).fetchall()
        views = connection.execute(
            "select schema_name, view_name, sql from duckdb_views()"
            f" where {own} and not internal order by all"
        ).fetchall()
    return (
        *(
            BaselineRelation(schema, name, "table", sql if (schema, name) in constrained else None)
            for schema, name, sql in tables
        ),
        *(BaselineRelation(schema, name, "view", sql) for schema, name, sql in views),
    )


def _refuse_data_dependent_text(program: Program) -> None:
    for operation in program.flow.operations:
        statement = operation.statement
        if statement.effect.kind in ("setting", "schema") and operation.template.parameters:
            raise RecordingError(f"{statement.node} sets {shortened(statement.sql)} by a parameter")
        is_query = statement.effect.kind == "read" and statement.node is not None
        depends = operation.reads & program.split.tainted or operation.template.parameters
        if is_query and depends:
            raise RecordingError(
                f"{statement.node} asks for data that a parameter changes while it renders its "
                f"SQL: {shortened(statement.sql)}"
            )


def _hoist(program: Program, factory: DbtEvaluatorFactory, content: Path, scratch: Path) -> None:
    """Run once what no parameter touches, and keep what candidates read of it."""
    database = scratch / factory.plan.baseline.name
    shutil.copyfile(factory.plan.baseline, database)
    texts = hole_texts({})
    plan = factory.plan
    with dbts_connection(
        database, plan.profile, project_dir=plan.project_dir, limits=factory.limits(scratch)
    ) as connection:
        connection.execute(f"attach '{escaped(content / HOISTED_FILE)}' as {HOISTED}")
        for schema in program.schemas:
            connection.execute(f"create schema if not exists {quoted(schema)}")
        for action in hoist_actions(program.flow, program.split):
            is_authors_own = action.operation is not None and (
                program.flow.operations[action.operation].statement.node is None
            )
            try:
                with author_schema(connection, factory.plan, is_authors_own):
                    perform(connection, action, lambda template: template.fill(texts))
            except duckdb.Error as error:
                raise RecordingError(f"a hoisted statement fails in replay: {error}") from error
        connection.execute(f"checkpoint {HOISTED}")
        connection.execute(f"detach {HOISTED}")


def _summary(program: Program) -> str:
    split = program.split
    total = sum(one.effect.kind not in ("read", "nothing") for one, _ in program.statements)
    return (
        f"of {total} statements that change something, {len(split.replayed)} are replayed for "
        f"each candidate and {len(split.hoisted - split.replayed)} run once"
    )
