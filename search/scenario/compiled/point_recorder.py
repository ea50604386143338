"""Recordings of dbt at points: the first candidate, one that differs in everything, and more."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any

from search.errors import RecordingError, ScenarioError
from search.scenario.compiled.literals import literal_class
from search.scenario.compiled.points import SecondPoints
from search.scenario.compiled.program import CheckPoint
from search.scenario.compiled.recording import Recording, RecordingEvaluator, record_once
from search.scenario.compiled.source import Source
from search.scenario.compiled.variants import NeedsVariants
from search.scenario.outcome import EvaluationRequest
from search.study.values import Scalar
from search.system.ahead import Ahead
from search.system.child import Report

_OF_TYPES = ("schemas on this incremental model are out of sync", "enforced contract that failed")
"""dbt's words when ``on_schema_change: fail`` or a contract meets a column of another type."""

Values = Mapping[str, Scalar]


class PointRecorder:
    """Records dbt at points, inside a ``with`` block.

    Args:
        source: What a program is compiled from.
        first: The candidate that is recorded first.
        fixed: Parameters that keep its value.
        typed: Parameters whose literals keep the type of its value.
        report: Takes a line of progress.

    Attributes:
        first: The candidate that is recorded first.
        second: The point beside it at which everything differs.
        lifted_names: Parameters whose values are told from literals.
        checks: What dbt gave at each point so far.

    Raises:
        RecordingError: If a literal's type allows no second value.
    """

    def __init__(
        self,
        source: Source,
        first: Values,
        *,
        fixed: Collection[str],
        typed: Collection[str],
        report: Report,
    ) -> None:
        self._source = source
        self._fixed = frozenset(fixed)
        self._typed = frozenset(typed)
        self._report = report
        self._evaluator = RecordingEvaluator(source.factory, source.aside)
        self.first = dict(first)
        self._points = SecondPoints(
            source.parameters, self.first, fixed=self._fixed, typed=self._typed
        )
        self.second = self._points.first_choice()
        self.checks: list[CheckPoint] = []
        binds = source.factory.plan.var_binds
        self.lifted_names = {bind.parameter for bind in binds} - self._fixed

    def __enter__(self) -> PointRecorder:
        self._evaluator.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._evaluator.close()

    def ask_for_types(self, why: str) -> None:
        """Try programs for each type that literals may have, before giving up.

        Raises:
            NeedsVariants: If there are parameters whose digits may be the reason.
        """
        parameters = self._source.parameters
        ranges = [n for n in self.lifted_names if parameters[n].choices is None]
        differ = [
            n for n in ranges if literal_class(self.first[n]) != literal_class(self.second[n])
        ]
        if self._typed or not differ:
            return
        words = {name for name in self.lifted_names if parameters[name].choices is not None}
        raise NeedsVariants(sorted(self._fixed | words), why, sorted(ranges))

    def both(
        self,
        seed: Scalar | None,
        other_seed: Scalar | None,
    ) -> tuple[Recording, Recording]:
        """Record the first candidate and a point inside the ranges, together where allowed."""
        first = "1/2: the first candidate"
        if self._source.recorders < 2:
            start = self.record(self.first, seed, first)
            return start, self._record_second(other_seed)
        request = EvaluationRequest(trial=0, values=self.second, replication=other_seed)
        with Ahead(record_once, self._source.factory, request) as ahead:
            start = self.record(self.first, seed, f"{first} (2/2 at the same time)")
            return start, self._record_second(other_seed, ahead)

    def _record_second(
        self,
        seed: Scalar | None,
        ahead: Ahead[Recording] | None = None,
    ) -> Recording:
        """Record inside the ranges, or where the scenario does not fail."""
        try:
            return self.record(self.second, seed, "2/2: inside the ranges", ahead)
        except ScenarioError as error:
            failure = error
        self._report(f"the scenario fails there ({failure}); trying other values")
        if any(words in str(failure) for words in _OF_TYPES):
            self.ask_for_types(str(failure))
        for point in self._points.nearer():
            recording = self._try(point, seed, "2/2: nearer values")
            if recording is not None:
                return recording
        self.ask_for_types(str(failure))
        shares: dict[str, float] = {}
        for name, share, point in self._points.alone():
            if name not in shares and self._try(point, seed, f"{name} alone"):
                self.checks.pop()
                shares[name] = share
        point = self._points.together(shares)
        recording = None
        if all(point[name] != self.first[name] for name in self.lifted_names):
            recording = self._try(point, seed, "2/2: each parameter its own way")
        if recording is None:
            stuck = sorted(name for name in self.lifted_names if name not in shares)
            which = f" of {', '.join(stuck)}" if stuck else ""
            raise RecordingError(
                f"the scenario fails at all other values{which} that were tried; "
                f"dbt says: {failure}"
            )
        return recording

    def _try(self, point: Values, seed: Scalar | None, what: str) -> Recording | None:
        """Record a point; None when the scenario fails there."""
        try:
            recording = self.record(point, seed, what)
        except ScenarioError as error:
            self._report(f"the scenario fails there ({error})")
            return None
        self.second = dict(point)
        return recording

    def record(
        self,
        values: Values,
        seed: Scalar | None,
        what: str,
        ahead: Ahead[Recording] | None = None,
    ) -> Recording:
        """Record a point, or take what was recorded ahead.

        Raises:
            RecordingError: If dbt did what cannot be replayed.
            ScenarioError: If the scenario fails there.
        """
        self._report(f"recording dbt {what}")
        request = EvaluationRequest(trial=0, values=values, replication=seed)
        started_at, started = time.time(), time.perf_counter()
        recording = self._evaluator.record(request) if ahead is None else ahead.result()
        seconds = time.perf_counter() - started
        self.checks.append(CheckPoint(dict(values), seed, recording.metrics, seconds, started_at))
        if recording.unsupported:
            raise RecordingError("; ".join(recording.unsupported[:3]))
        return recording

    def lifted_values(self, values: Values, seed: Scalar | None) -> dict[str, Any]:
        """Return what literals are looked for: parameters' values, and the seed."""
        lifted = {name: value for name, value in values.items() if name in self.lifted_names}
        name = self._source.factory.plan.replication_var
        return lifted if name is None or type(seed) is not int else lifted | {name: seed}
