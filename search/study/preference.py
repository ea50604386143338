"""Which of several candidates that meet every target is wanted. Pure.

Targets come first, then what is to be minimised or maximised, then the preference. Least change
ends at the edge of a tolerance, where the least error of anything leads outside: candidates that
keep a tenth of each tolerance come before those that do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from search.study.constraints import Expression
from search.study.models import StudySpec
from search.study.parameters import ParameterSpec, same_scalar
from search.study.settings import PREFERENCES
from search.study.targets import DEFAULT_TOLERANCE, Goal, rank_key, violation
from search.study.values import Scalar

MARGIN = 0.1
"""Share of each tolerance that a preferred candidate keeps."""
CHOSEN = "chosen_trial"
"""Study attribute: the trial that futures chose, and of how many that had ended."""


@dataclass(frozen=True)
class Preference:
    """What is wanted among candidates that meet every target.

    Attributes:
        spec: The study.
        name: ``least_change``, ``center``, ``none`` or an expression.
        chosen: The trial that goes before all others that meet every target, where futures
            decided; None else.
    """

    spec: StudySpec
    name: str
    chosen: int | None = None

    @classmethod
    def of(cls, spec: StudySpec) -> Preference:
        """Return what a study file prefers."""
        return cls(spec, spec.search.prefer)

    @classmethod
    def stored(cls, spec: StudySpec, attributes: Mapping[str, Any], *, trials: int) -> Preference:
        """Return what a stored study was ranked by.

        Args:
            spec: The study.
            attributes: What is stored with it; a study of a version that had no preference is
                ranked without one until it goes on.
            trials: How many of its trials have ended.
        """
        document = attributes.get("spec") or {}
        is_old = bool(document) and "prefer" not in document.get("search", {})
        chosen: Mapping[str, Any] = attributes.get(CHOSEN) or {}
        is_valid = chosen.get("of") == trials
        return cls(
            spec,
            "none" if is_old else spec.search.prefer,
            chosen.get("trial") if is_valid else None,
        )

    @cached_property
    def _expression(self) -> Expression | None:
        return None if self.name in PREFERENCES else Expression.parse(self.name)

    def rank(
        self,
        goals: Sequence[Goal],
        values: Mapping[str, Scalar],
        metrics: Mapping[str, float],
        trial: int | None = None,
    ) -> tuple[float, ...]:
        """Return a key by which the best candidate sorts first.

        Candidates that miss a target follow by their loss, as ``rank_key`` has it.

        Args:
            goals: Resolved.
            values: The candidate.
            metrics: What it yields.
            trial: Its number, where it has one.

        Raises:
            ValueError: If a metric is missing or not finite.
        """
        missed, leading, inside = rank_key(goals, metrics)
        if missed:
            return (missed, leading, 0.0, 0.0, inside)
        first = -1.0 if trial is not None and trial == self.chosen else 0.0
        if self.name == "none":
            return (0.0, leading, first, 0.0, inside)
        if any(violation(goal, metrics[goal.metric]) > 1 - MARGIN for goal in goals):
            first += 0.5  # at the edge
        return (0.0, leading, first, self.cost(goals, values, metrics), inside)

    def fits(self, values: Mapping[str, Scalar]) -> bool:
        """Return whether a candidate has a value of each parameter; another program's may not."""
        return values.keys() >= self.spec.parameters.keys()

    def cost(
        self,
        goals: Sequence[Goal],
        values: Mapping[str, Scalar],
        metrics: Mapping[str, float],
    ) -> float:
        """Return how little a candidate is wanted among those that meet every target.

        The change from today, the share of the tightest tolerance that is used up, or the
        expression; 0 without a preference. An expression without a value, such as a division
        by 0, counts as infinite.
        """
        if self.name == "none":
            return 0.0
        if self.name == "center":
            return max((used(goal, metrics[goal.metric]) for goal in goals), default=0.0)
        if self._expression is not None:
            return self._expression.value({**metrics, **values})
        return self.change(values)

    def change(self, values: Mapping[str, Scalar]) -> float:
        """Return how far a candidate is from today, in ranges of parameters.

        The weighted sum of |x - current| / (high - low), in the logarithm with ``log``; another
        choice counts as a whole range.

        Example:
            From 3.5 % to 4.5 % in a range of 0 % to 10 % is 0.1, with a weight of 2 it is 0.2.
        """
        return math.fsum(
            one.weight * moved(one, values[name]) for name, one in self.spec.parameters.items()
        )


def moved(parameter: ParameterSpec, value: Scalar) -> float:
    """Return how far a value is from today's, as a share of its parameter's range."""
    if parameter.choices is not None:
        return float(parameter.current is None or not same_scalar(value, parameter.current))
    low, high = (float(one) for one in parameter.bounds)
    current = low if parameter.current is None else float(parameter.current)
    if parameter.log:
        return abs(math.log(float(value) / current)) / math.log(high / low)
    return abs(float(value) - current) / (high - low)


def used(goal: Goal, metric_value: float) -> float:
    """Return the share of a target's tolerance that a metric uses up; at most 1 when it is met.

    A bound is used up at the bound, and not at all one tolerance inside it (2 % without one);
    between two bounds the middle uses nothing up.
    """
    if goal.is_objective:
        return 0.0
    if goal.kind == "equal":
        return violation(goal, metric_value)
    shares = []
    for bound, sign in ((goal.low, -1.0), (goal.high, 1.0)):
        if bound is None:
            continue
        allowed = goal.tolerance * abs(bound) if goal.is_relative_tolerance else goal.tolerance
        last = bound + sign * allowed
        room = allowed or DEFAULT_TOLERANCE * (abs(bound) or 1.0)
        if goal.low is not None and goal.high is not None:
            room = (goal.high - goal.low) / 2 + allowed
        shares.append(max(0.0, 1.0 - sign * (last - metric_value) / room))
    return max(shares)
