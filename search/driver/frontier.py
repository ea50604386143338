"""The frontier of a target: for each of its values the plan that meets all the others.

Points are solved one after the other, the nearest to what is known first, each with all that was
evaluated before: for the study and for the points before it. A point takes few new evaluations.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.driver.results import CompleteTrial
from search.sampling.choice import Samplers
from search.sampling.feasible import SpaceExhaustedError
from search.sampling.history import metrics_of_trial
from search.study import StudySpec
from search.study.metrics import METRIC_PREFIX
from search.study.preference import Preference
from search.study.ranking import rank_key
from search.study.space import canonical, distributions
from search.study.targets import (
    Goal,
    is_met,
    objective_goals,
    off_text,
)
from search.study.values import Scalar
from search.study.vary import Vary, goals_at, levels_of

MOST_EVALUATIONS = 12
"""New evaluations of one point, at most."""
BATCH = 2
"""Candidates that are evaluated together: each pair learns from the one before."""
POLISH = 2
"""Evaluations of a point that is met, towards what is preferred or optimised."""

Evaluate = Callable[[Sequence[Mapping[str, Scalar]]], Sequence[Mapping[str, float]]]
"""Returns the metrics of candidates; none of one that fails."""


@dataclass(frozen=True)
class FrontierPoint:
    """The plan at one value of what is varied.

    Attributes:
        levels: Metric to the value that its target has here.
        is_met: Whether the plan meets every target.
        values: The plan; of a point that is not met, the nearest one.
        metrics: What it yields.
        trial: The trial of the study that it is; None for a new candidate.
        evaluated: New candidates, each with its metrics.
        reason: Why the point is not reached; None where it is.
    """

    levels: Mapping[str, float]
    is_met: bool
    values: Mapping[str, Scalar]
    metrics: Mapping[str, float]
    trial: int | None = None
    evaluated: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    reason: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the point as JSON-safe values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class FrontierResult:
    """A frontier, or a map of two targets.

    Attributes:
        study: Its name in the storage.
        varies: What was varied.
        goals: The study's goals, resolved.
        points: In the order of what was varied, the last axis fastest.
        folder: The study's results folder.
    """

    study: str
    varies: tuple[Vary, ...]
    goals: tuple[Goal, ...]
    points: tuple[FrontierPoint, ...]
    folder: Path

    @property
    def is_reached(self) -> bool:
        """Whether some point meets every target."""
        return any(point.is_met for point in self.points)


class Frontier:
    """Solves the points of a frontier.

    Args:
        spec: The study, with at most one metric to be minimised or maximised.
        goals: Its goals, resolved.
        preference: What is wanted among plans that meet every target.
        trials: What the study has evaluated; at least the current parameters.
        varies: One axis, or two for a map.
        evaluate: Evaluates candidates.
    """

    def __init__(
        self,
        spec: StudySpec,
        goals: Sequence[Goal],
        preference: Preference,
        trials: Sequence[CompleteTrial],
        varies: Sequence[Vary],
        evaluate: Evaluate,
    ) -> None:
        self._spec = spec
        self._goals = tuple(goals)
        self._preference = preference
        self._varies = tuple(varies)
        self._evaluate = evaluate
        self._space = distributions(spec)
        self._samplers = Samplers(spec)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study()
        self._numbers: list[int | None] = []
        for trial in trials:
            self._know(trial.values, trial.metrics, trial.number)

    def points(self, solved: Sequence[FrontierPoint] = ()) -> Iterator[FrontierPoint]:
        """Yield the points that are not solved yet, each as soon as it is.

        Args:
            solved: Points of an earlier, interrupted run, in the order in which they were solved.
        """
        for point in solved:
            for evaluated in point.evaluated:
                self._know(evaluated["values"], evaluated["metrics"], None)
        known = [dict(point.levels) for point in solved]
        for levels in self._ordered():
            if levels not in known:
                yield self._solved(levels)

    def _ordered(self) -> list[dict[str, float]]:
        """Return the points, those nearest to what is known first."""
        start = self._study.get_trials(deepcopy=False)
        ranked = [(rank_key(self._goals, _metrics(trial)), trial.number) for trial in start]
        best = _metrics(start[min(ranked)[1]])

        def distance(levels: Mapping[str, float]) -> float:
            return math.fsum(
                ((levels[vary.metric] - best[vary.metric]) / (vary.high - vary.low)) ** 2
                for vary in self._varies
            )

        return sorted(levels_of(self._varies), key=distance)

    # --- one point --------------------------------------------------------------

    def _solved(self, levels: Mapping[str, float]) -> FrontierPoint:
        goals = goals_at(self._goals, levels, self._spec)
        evaluated: list[dict[str, Any]] = []
        reason, polished = None, 0
        while len(evaluated) < MOST_EVALUATIONS:
            best = self._best(goals)
            if self._meets(goals, best):
                wanted = self._nearer(goals) if polished < POLISH else []
                polished += BATCH
            else:
                assessment = self._samplers.target(goals).assess(self._trials, batch_size=BATCH)
                if assessment.should_stop:
                    reason = assessment.reason
                    break
                wanted = self._proposed(goals)
            if not wanted:
                break
            for values, metrics in zip(wanted, self._evaluate(wanted), strict=True):
                evaluated.append({"values": dict(values), "metrics": dict(metrics)})
                self._know(values, metrics, None)
        best = self._best(goals)
        is_met_here = self._meets(goals, best)
        return FrontierPoint(
            levels=dict(levels),
            is_met=is_met_here,
            values=canonical(self._spec, best.params),
            metrics=_metrics(best),
            trial=self._numbers[best.number],
            evaluated=tuple(evaluated),
            reason=None if is_met_here else self._why(goals, best, reason, len(evaluated)),
        )

    def _why(self, goals: Sequence[Goal], best: FrozenTrial, reason: str | None, count: int) -> str:
        metrics = _metrics(best)
        missed = [
            f"{goal.metric} {off_text(goal, metrics[goal.metric])}"
            for goal in goals
            if not goal.is_objective and not is_met(goal, metrics[goal.metric])
        ]
        why = reason or f"no plan is found within {count} evaluations"
        return f"{why}; the nearest plan misses {', '.join(missed) or 'a chance target'}"

    def _nearer(self, goals: Sequence[Goal]) -> list[Mapping[str, Scalar]]:
        """Return candidates that are wanted more than the best, which meets every target."""
        if objective_goals(goals):
            return self._proposed(goals)
        if self._preference.name == "none":
            return []
        sampler = self._samplers.target(goals)
        nearer = sampler.nearer(self._trials, self._preference, count=BATCH)
        return [canonical(self._spec, values) for values in nearer]

    def _proposed(self, goals: Sequence[Goal]) -> list[Mapping[str, Scalar]]:
        """Return what the model of the metrics would try next; none where all is tried."""
        self._study.sampler = self._samplers.modelled(goals, iteration=len(self._numbers))
        proposals: list[Mapping[str, Scalar]] = []
        asked = []
        try:
            for _ in range(BATCH):
                asked.append(self._study.ask(self._space))
                proposals.append(canonical(self._spec, asked[-1].params))
        except SpaceExhaustedError:
            pass
        # Told anew with their metrics: a trial of this study is a candidate that was evaluated.
        self._study = _without(self._study, {trial.number for trial in asked})
        return proposals

    # --- what is known ----------------------------------------------------------

    @property
    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _best(self, goals: Sequence[Goal]) -> FrozenTrial:
        complete = [trial for trial in self._trials if trial.state == TrialState.COMPLETE]
        return min(complete, key=lambda trial: (self._rank(goals, trial), trial.number))

    def _rank(self, goals: Sequence[Goal], trial: FrozenTrial) -> tuple[float, ...]:
        values = canonical(self._spec, trial.params)
        return self._preference.rank(goals, values, _metrics(trial))

    def _meets(self, goals: Sequence[Goal], trial: FrozenTrial) -> bool:
        values = canonical(self._spec, trial.params)
        return self._preference.is_met(goals, values, _metrics(trial))

    def _know(
        self, values: Mapping[str, Scalar], metrics: Mapping[str, float], number: int | None
    ) -> None:
        """Take a candidate in; one without metrics failed, and is not tried again."""
        self._study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if metrics else TrialState.FAIL,
                value=0.0 if metrics else None,
                params=dict(values),
                distributions=self._space,
                user_attrs={f"{METRIC_PREFIX}{name}": value for name, value in metrics.items()},
            )
        )
        self._numbers.append(number)


def _metrics(trial: FrozenTrial) -> dict[str, float]:
    return metrics_of_trial(trial) or {}


def _without(study: optuna.Study, numbers: set[int]) -> optuna.Study:
    """Return a study without some trials, which are its last."""
    copy = optuna.create_study()
    copy.add_trials(
        [trial for trial in study.get_trials(deepcopy=False) if trial.number not in numbers]
    )
    return copy
