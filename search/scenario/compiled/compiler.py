"""Compiles a scenario: record, lift, slice, hoist, check against dbt."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from search.errors import RecordingError, ScenarioError
from search.scenario.compiled.checking import check
from search.scenario.compiled.flow import BaselineRelation, Key
from search.scenario.compiled.hoisting import hoist, read_baseline
from search.scenario.compiled.lifting import Unliftable, agrees, bare_holes, lift
from search.scenario.compiled.literals import literal_kind, unrecorded_kinds
from search.scenario.compiled.point_recorder import PointRecorder, Values
from search.scenario.compiled.probes import is_watched
from search.scenario.compiled.program import Program, save
from search.scenario.compiled.recording import Recording
from search.scenario.compiled.refusals import (
    judge_chance,
    refuse_data_dependent_text,
    refuse_what_cannot_be_replayed,
)
from search.scenario.compiled.source import MAX_STATIC_VALUES, Source, all_values
from search.scenario.compiled.variants import NeedsVariants
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest
from search.study.values import Scalar
from search.system.child import Report

SEED_STEP = 7919
"""Distance from a replication's first value to the one that stands for any other."""


def compile_program(
    source: Source,
    first: Values,
    folder: Path,
    *,
    fixed: Sequence[str],
    typed: Sequence[str] = (),
    report: Report,
) -> Program:
    """Record a scenario, make its program in a folder, and check it against dbt.

    Args:
        source: What to compile from.
        first: The candidate to record first; dbt's metrics of it are kept in the program's
            first check point.
        folder: Where the program and its hoisted tables go; exists and is empty.
        fixed: Parameters that keep their value of ``first`` in this program.
        typed: Parameters whose literals keep the type of ``first`` in this program.
        report: Takes a line of progress.

    Raises:
        NeedsVariants: If dbt renders other statements for some parameter's values, which
            are few; to be called again with those parameters fixed.
        RecordingError: If the scenario cannot be replayed; says which model and why.
        SearchError: If the scenario fails at the recorded values.
    """
    program = _Compilation(source, first, fixed, typed, report).run()
    _hoist(program, source, folder, report)
    try:
        return _checked(program, source, folder, report)
    except RecordingError as error:
        raise RecordingError(_why_differing(program, source.factory, error)) from error


def compile_recorded(
    source: Source, recorded: Program, known: Sequence[str], folder: Path, *, report: Report
) -> Program:
    """Make the program of other metrics from what was recorded, and check it; dbt is not asked.

    Metrics that dbt was asked for are compared again at every recorded candidate; the others are
    compared when the winner is verified.

    Args:
        source: What to compile from.
        recorded: What was recorded.
        known: Metrics whose value dbt gave when it was recorded; at least one.
        folder: Where the program and its hoisted tables go; exists and is empty.
        report: Takes a line of progress.

    Raises:
        RecordingError: If the metrics need what cannot be replayed, or one of them fails.
    """
    plan = source.factory.plan
    checks = tuple(
        replace(point, metrics={name: point.metrics[name] for name in known})
        for point in recorded.checks
    )
    program = replace(recorded, metrics=plan.metrics, checks=checks, warnings=())
    refuse_what_cannot_be_replayed(program)
    refuse_data_dependent_text(program)
    program = replace(program, warnings=judge_chance(program, plan))
    _hoist(program, source, folder, report)
    return _checked(program, source, folder, report)


def _hoist(program: Program, source: Source, folder: Path, report: Report) -> None:
    """Run once what no parameter reaches."""
    scratch = folder.with_name(f"{folder.name}-hoist")
    scratch.mkdir()
    try:
        hoist(program, source.factory, folder, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    report(_summary(program))


def _checked(program: Program, source: Source, folder: Path, report: Report) -> Program:
    """Hold the program against dbt, and save it."""
    warnings = check(program, source.factory, folder, lanes=source.recorders, report=report)
    program = replace(program, warnings=(*program.warnings, *warnings))
    save(program, folder)
    return program


def _why_differing(program: Program, factory: DbtEvaluatorFactory, error: RecordingError) -> str:
    """Return why a replay differs from dbt: dbt may differ from itself."""
    point = program.checks[0]
    evaluator = factory()
    evaluator.open()
    try:
        again = evaluator.evaluate(EvaluationRequest(0, point.values, point.replication))
    finally:
        evaluator.close()
    reasons = [*program.warnings, error.message]
    for name, value in again.metrics.items():
        if value != point.metrics[name]:
            reasons.insert(
                0,
                f"the project is not repeatable: for the same parameters dbt itself gives {name} = "
                f"{point.metrics[name]!r} and then {value!r}",
            )
            break
    return "; ".join(reasons)


class _Compilation:
    """Records at two points, and at every value of a parameter that templates look at."""

    def __init__(
        self,
        source: Source,
        first: Values,
        fixed: Sequence[str],
        typed: Sequence[str],
        report: Report,
    ) -> None:
        self._source = source
        self._plan = source.factory.plan
        self._report = report
        self._fixed = frozenset(fixed)
        self._typed = tuple(typed)
        self._points = PointRecorder(source, first, fixed=fixed, typed=typed, report=report)
        self._existing: frozenset[str] = frozenset()

    def run(self) -> Program:
        """Record, lift and judge; what dbt evaluated until a refusal goes with it."""
        try:
            return self._run()
        except RecordingError as error:
            error.evaluated = tuple(self._points.checks)
            raise

    def _run(self) -> Program:
        baseline = read_baseline(self._plan)
        self._existing = frozenset(relation.key[1] for relation in baseline)
        with self._points:
            lifted = self._lift()
        program = Program(
            statements=tuple(lifted),
            baseline=baseline,
            metrics=self._plan.metrics,
            bound=self._bound(baseline),
            catalog=self._plan.profile.catalog,
            default_schema=str(self._plan.profile.output.get("schema", "main")),
            checks=tuple(self._points.checks),
            draws_vary=self._plan.seed is not None and self._plan.has_replications,
        )
        refuse_what_cannot_be_replayed(program)
        refuse_data_dependent_text(program)
        warnings = judge_chance(program, self._plan)
        return replace(program, warnings=warnings)

    def _lift(self) -> Any:
        seed = self._source.replication
        is_constant = self._plan.seed is not None and not self._plan.has_replications
        other_seed = seed + SEED_STEP if type(seed) is int and not is_constant else seed
        first, second = self._points.both(seed, other_seed)
        static = self._static_parameters(first, second)
        try:
            lifted = lift(
                first,
                self._points.lifted_values(self._points.first, seed),
                second,
                self._points.lifted_values(self._points.second, other_seed),
                existing=self._existing,
            )
            for name, values in static.items():
                for value in values:
                    self._prove(lifted, self._points.second | {name: value}, other_seed, name)
            self._prove_literals(lifted, other_seed)
        except Unliftable as error:
            names = {*static, *filter(self._has_few_values, error.names)}
            if not names and not error.names:
                self._points.ask_for_types(str(error))
                names = self._culprits(first, seed)
            if names:
                raise NeedsVariants(sorted(self._fixed | names), str(error), self._typed) from error
            raise RecordingError(str(error)) from error
        return lifted

    def _prove_literals(self, lifted: Any, seed: Scalar | None) -> None:
        """Record the kinds of literals that were not met yet, and each name among choices."""
        recorded = [check.values for check in self._points.checks]
        missing: dict[str, list[Scalar]] = {}
        bare = bare_holes(lifted, self._points.lifted_values(self._points.first, seed))
        for name in self._points.lifted_names - set(self._typed):
            parameter = self._source.parameters[name]
            seen = {literal_kind(values[name]) for values in recorded}
            missing[name] = unrecorded_kinds(parameter, seen) if name in bare else []
            words = [choice for choice in parameter.choices or () if isinstance(choice, str)]
            if name in bare and len(words) <= MAX_STATIC_VALUES:
                missing[name] += [word for word in words if all(r[name] != word for r in recorded)]
        for values in itertools.zip_longest(*missing.values()):
            point = {n: v for n, v in zip(missing, values, strict=True) if v is not None}
            names = ", ".join(f"{name} = {value}" for name, value in point.items())
            try:
                self._prove(lifted, self._points.second | point, seed, names, "another type")
            except ScenarioError as error:
                self._report(f"the scenario fails there: {error}")

    def _has_few_values(self, name: str) -> bool:
        """Whether a parameter is lifted that could have a program for each of its values."""
        parameter = self._source.parameters.get(name)
        is_free = name in self._points.lifted_names and parameter is not None
        return is_free and parameter is not None and all_values(parameter) is not None

    def _culprits(self, first: Recording, seed: Scalar | None) -> set[str]:
        """Return which parameters of few values change the statements, each tried alone."""
        culprits: set[str] = set()
        start = self._points.lifted_values(self._points.first, seed)
        for name in sorted(filter(self._has_few_values, self._points.lifted_names)):
            values = self._points.first | {name: self._points.second[name]}
            what = f"{name} = {values[name]}: does it change the statements?"
            try:
                alone = self._points.record(values, seed, what)
                lift(
                    first,
                    start,
                    alone,
                    self._points.lifted_values(values, seed),
                    existing=self._existing,
                )
            except Unliftable:
                culprits.add(name)
            except ScenarioError as error:
                self._report(f"the scenario fails there: {error}")
        return culprits

    def _static_parameters(self, first: Recording, second: Recording) -> dict[str, list[Scalar]]:
        """Return the parameters that templates look at, each with the values still to record."""
        uses = {
            name: first.uses.get(name, set()) | second.uses.get(name, set())
            for name in {*first.uses, *second.uses, *self._points.lifted_names}
        }
        static = {}
        for name in sorted(uses):
            if name in self._fixed or name not in self._source.parameters:
                if name == self._plan.replication_var and uses[name]:
                    raise RecordingError(
                        f"templates look at the value of {_seen(name, uses[name])}"
                    )
                continue
            if not uses[name] and is_watched(self._points.first[name]):
                continue
            values = all_values(self._source.parameters[name])
            if values is None:
                raise RecordingError(
                    f"templates look at the value of parameter {_seen(name, uses[name])}, so its "
                    "SQL cannot be told from two recordings; compute with it in SQL instead, "
                    f"or give it at most {MAX_STATIC_VALUES} values (choices, or whole numbers)"
                )
            recorded = (self._points.first[name], self._points.second[name])
            static[name] = [value for value in values if value not in recorded]
        return static

    def _prove(
        self,
        lifted: Any,
        values: Values,
        seed: Scalar | None,
        name: str,
        reason: str = "templates look at it",
    ) -> None:
        """Record another value of a parameter, and see that the templates give its SQL."""
        where = f"{name} = {values[name]}" if name in values else name
        what = f"{where}: {reason}"
        recording = self._points.record(values, seed, what)
        if not agrees(lifted, recording, self._points.lifted_values(values, seed)):
            raise Unliftable(f"dbt renders other statements for {where}")

    def _bound(self, baseline: tuple[BaselineRelation, ...]) -> tuple[Key, ...]:
        catalog = self._plan.profile.catalog
        by_sql_name = {
            f'"{catalog}"."{relation.schema}"."{relation.name}"'.lower(): relation.key
            for relation in baseline
        }
        by_plain_name = {relation.key[1]: relation.key for relation in baseline}
        keys = []
        for bind in self._plan.table_binds:
            plain = bind.relation.replace('"', "").split(".")[-1].lower()
            key = by_sql_name.get(bind.relation.lower(), by_plain_name.get(plain))
            if key is None:
                raise RecordingError(f"table {bind.table} is not a table of the baseline")
            keys.append(key)
        return tuple(dict.fromkeys(keys))


def _seen(name: str, uses: set[str]) -> str:
    return f"{name} ({'; '.join(sorted(uses)[:2])})" if uses else name


def _summary(program: Program) -> str:
    split = program.split
    return (
        f"of {len(program.flow.operations)} recorded statements, {len(split.replayed)} are "
        f"replayed for each candidate and {len(split.hoisted - split.replayed)} run once"
    )
