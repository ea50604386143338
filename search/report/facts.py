"""What a report shows, gathered from the published trail alone."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from search.audit.records import (
    IterationRecord,
    ParameterSetRecord,
    RunRecord,
    TrialMetric,
    TrialRecord,
)
from search.scenario.verdict import Verification
from search.study import StudySpec
from search.study.targets import Goal, is_distance, is_resolved, violation
from search.study.values import Scalar


@dataclass(frozen=True)
class ParameterFacts:
    """A parameter as the report shows it.

    Attributes:
        name: Its name.
        unit: Of its values, for people.
        low: Least value; None with choices.
        high: Greatest value; None with choices.
        is_log: Whether its range is searched on a logarithmic scale.
        choices: Allowed values; None with a range.
        current: Today's value; None when the trail does not say.
        best: Value in the best trial; None while there is none.
        description: What it does.
        binds: Where the value goes, in words.
        step: Distance of the grid's values; None without a grid.
    """

    name: str
    unit: str | None
    low: float | None
    high: float | None
    is_log: bool
    choices: tuple[Scalar, ...] | None
    current: Scalar | None
    best: Scalar | None
    description: str | None = None
    binds: tuple[str, ...] = ()
    step: float | None = None

    def position(self, value: Scalar | None) -> float | None:
        """Return where a value stands between 0 (low, first choice) and 1; None if nowhere."""
        if value is None:
            return None
        if self.choices is not None:
            places = [i for i, choice in enumerate(self.choices) if str(choice) == str(value)]
            return places[0] / max(1, len(self.choices) - 1) if places else None
        if self.low is None or self.high is None or isinstance(value, str):
            return None
        if self.high <= self.low:
            return 0.5
        low, high, at = float(self.low), float(self.high), float(value)
        if self.is_log and low > 0 and at > 0:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return min(1.0, max(0.0, (at - low) / (high - low)))

    @property
    def bound_reached(self) -> str | None:
        """``lower`` or ``upper`` when the best value stands at an end of the range."""
        if self.choices is not None or self.low == self.high:
            return None
        at = self.position(self.best)
        if at is None:
            return None
        return "lower" if at <= 1e-9 else "upper" if at >= 1 - 1e-9 else None


@dataclass(frozen=True)
class Target:
    """A target with what the best trial and the current parameters yield.

    Attributes:
        goal: The target; its value may be unknown while a relative one is not resolved.
        current: The metric at the current parameters.
        best: The metric in the best trial.
    """

    goal: Goal
    current: float | None
    best: float | None

    @property
    def is_resolved(self) -> bool:
        """Whether distances from the target are known."""
        return is_resolved(self.goal)

    def is_absolute(self, value: float) -> bool:
        """Whether the variance is in the metric's unit, since the target or bound is 0."""
        return self.is_resolved and is_distance(self.goal, value)

    def distance(self, value: float | None) -> float | None:
        """Return the distance of a metric in tolerances, at least 0; None if unknown."""
        if value is None or not self.is_resolved or self.goal.is_objective:
            return None
        with contextlib.suppress(ValueError):
            return violation(self.goal, value)
        return None


@dataclass(frozen=True)
class StudyFacts:
    """Everything about one version of a study.

    Attributes:
        folder: The results folder it was read from.
        study: Name in the storage, version included.
        runs: Its runs, oldest first; at least one.
        trials: Its trials, in order.
        iterations: Its iterations, in order.
        metrics: Trial to metric to its record.
        units: Unit of each metric, by name.
        parameters: Its parameters, by name.
        targets: Its targets, those of high priority first.
        best: Number of the best trial; None while none is complete.
        other_versions: Latest run of every other version in the folder.
        parameter_sets: Applied sets.
        document: The study file as it was read for the last run.
        spec: The same as a study; None when it was written under other rules.
        alternatives: Name and trial of the other plans that meet every target.
    """

    folder: Path
    study: str
    runs: tuple[RunRecord, ...]
    trials: tuple[TrialRecord, ...]
    iterations: tuple[IterationRecord, ...]
    metrics: Mapping[int, Mapping[str, TrialMetric]]
    units: Mapping[str, str | None]
    parameters: tuple[ParameterFacts, ...]
    targets: tuple[Target, ...]
    best: int | None
    other_versions: tuple[RunRecord, ...]
    parameter_sets: tuple[ParameterSetRecord, ...]
    document: Mapping[str, Any]
    spec: StudySpec | None = None
    alternatives: tuple[tuple[str, int], ...] = ()

    @property
    def run(self) -> RunRecord:
        """The latest run."""
        return self.runs[-1]

    @property
    def verification(self) -> Verification | None:
        """What real dbt said of the best trial after the latest run; None when it was not asked."""
        document = self.run.verification
        if not isinstance(document, dict) or self.run.best_trial != self.best:
            return None
        return Verification.of_document(document)

    @property
    def checks(self) -> list[Mapping[str, Any]]:
        """What the checks of the study file showed at the latest run."""
        return list(self.run.checks) if isinstance(self.run.checks, list) else []

    @property
    def appraisal(self) -> Mapping[str, Any]:
        """What was found out at the end of the latest run that has ended; empty before."""
        known = [run.appraisal for run in self.runs if isinstance(run.appraisal, dict)]
        return known[-1] if known else {}

    @property
    def best_trial(self) -> TrialRecord | None:
        """The best trial; None while none is complete."""
        return next((trial for trial in self.trials if trial.trial == self.best), None)

    @property
    def is_newest(self) -> bool:
        """Whether commands that name the study mean this version of it."""
        return all(
            version.study_version <= self.run.study_version for version in self.other_versions
        )

    @property
    def as_of(self) -> datetime:
        """The last moment that the trail knows of."""
        moments = [self.run.started_at, self.run.finished_at]
        moments += [trial.finished_at for trial in self.trials]
        return max(moment for moment in moments if moment is not None)

    def complete(self) -> list[TrialRecord]:
        """Return the complete trials."""
        return [trial for trial in self.trials if trial.state == "complete"]

    def failed(self) -> list[TrialRecord]:
        """Return the failed trials."""
        return [trial for trial in self.trials if trial.state == "failed"]

    def value(self, trial: int | None, metric: str) -> float | None:
        """Return a trial's metric; None when it has none."""
        record = self.metrics.get(trial, {}).get(metric) if trial is not None else None
        return record.value if record else None
