"""Which of several candidates that meet every target is wanted. Pure.

Targets come first, then what is to be minimised or maximised, then the preference. Least change
ends at the edge of a tolerance, where the least error of anything leads outside: candidates that
keep a tenth of each tolerance come before those that do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from search.study.chance import WANTED, window
from search.study.constraints import Expression
from search.study.models import StudySpec
from search.study.odds import FEW, Odds, careful, safe_window, shares, with_margins
from search.study.parameters import ParameterSpec, same_scalar
from search.study.ranking import rank_key
from search.study.settings import PREFERENCES
from search.study.targets import (
    DEFAULT_TOLERANCE,
    Goal,
    all_met,
    allowed_distance,
    effective,
    violation,
)
from search.study.values import Scalar

MARGIN = 0.1
"""Share of each tolerance that a preferred candidate keeps."""
SCOUTED = "scouted"
"""Study attribute: plans that were evaluated under other seeds, as ``Odds.documents`` has them."""
SHORT = 0.04
"""Chance that is too little to prefer a plan for it once the chance that is wanted is missed."""
NARROW = 0.05
"""Half of what is left, in tolerances, where chance leaves nothing."""


@dataclass(frozen=True)
class Preference:
    """What is wanted among candidates that meet every target.

    Attributes:
        spec: The study.
        name: ``least_change``, ``center``, ``none`` or an expression.
        odds: What is known of chance; empty without it.
        is_final: Whether a plan that was not evaluated under other seeds meets no chance target:
            nothing more is found out about it.
    """

    spec: StudySpec
    name: str
    odds: Odds = field(default_factory=Odds)
    is_final: bool = False

    @classmethod
    def of(cls, spec: StudySpec) -> Preference:
        """Return what a study file prefers."""
        return cls(spec, spec.search.prefer)

    @classmethod
    def stored(cls, spec: StudySpec, attributes: Mapping[str, Any]) -> Preference:
        """Return what a stored study was ranked by.

        Args:
            spec: The study.
            attributes: What is stored with it; a study of a version that had no preference is
                ranked without one until it goes on.
        """
        document = attributes.get("spec") or {}
        is_old = bool(document) and "prefer" not in document.get("search", {})
        odds = Odds.of(attributes.get(SCOUTED) or ())
        return cls(spec, "none" if is_old else spec.search.prefer, odds, is_final=True)

    @cached_property
    def _expression(self) -> Expression | None:
        return None if self.name in PREFERENCES else Expression.parse(self.name)

    def rank(
        self,
        goals: Sequence[Goal],
        values: Mapping[str, Scalar],
        metrics: Mapping[str, float],
    ) -> tuple[float, ...]:
        """Return a key by which the best candidate sorts first.

        Candidates that miss a target follow by their loss, as ``rank_key`` has it.

        Args:
            goals: Resolved.
            values: The candidate.
            metrics: What it yields.

        Raises:
            ValueError: If a metric is missing or not finite.
        """
        missed, leading, inside = rank_key(self.judged(goals, values), metrics)
        if not missed and self._is_unknown(goals, values):
            return (1.0, 0.0, self._short(goals, values, metrics), 0.0, inside)
        if missed or self.name == "none":
            return (missed, leading, 0.0, 0.0, inside)
        edge = self.outside(goals, values, metrics)
        return (0.0, leading, edge, self.cost(goals, values, metrics), inside)

    def is_met(
        self,
        goals: Sequence[Goal],
        values: Mapping[str, Scalar],
        metrics: Mapping[str, float],
    ) -> bool:
        """Return whether a candidate meets every target, chance targets with their probability.

        A candidate that was evaluated under other seeds is judged by them, the others by what
        those of the search foretell.

        Raises:
            ValueError: If a metric is missing or not finite.
        """
        is_known = not self._is_unknown(goals, values)
        return is_known and all_met(self.judged(goals, values), metrics)

    def _is_unknown(self, goals: Sequence[Goal], values: Mapping[str, Scalar]) -> bool:
        """Return whether a chance target counts as missed because too little is known."""
        if not (self.is_final and self.odds) or self.odds.seeds_of(values) >= FEW:
            return False
        return any(goal.probability for goal in goals)

    def judged(self, goals: Sequence[Goal], values: Mapping[str, Scalar]) -> Sequence[Goal]:
        """Return the goals that a candidate is judged by: with its own margins, where known."""
        if not any(goal.probability for goal in goals):
            return goals
        noise = self.odds.own_noise(values) or self.odds.noise
        return with_margins(goals, noise, is_own=True) if noise else goals

    def outside(
        self,
        goals: Sequence[Goal],
        values: Mapping[str, Scalar],
        metrics: Mapping[str, float],
    ) -> float:
        """Return how far a candidate that meets every target is from safe; 0 for a safe plan.

        With chance by what its chance falls short, in steps; without, in tenths of a tolerance.
        What is less is no reason against a smaller change.
        """
        beyond = 0.0
        known = self.odds.noise
        for goal in goals:
            if goal.is_objective or (goal.metric in known and known[goal.metric].deviation > 0):
                continue
            low, high = _kept(goal)
            value = metrics[goal.metric]
            beyond = max(beyond, (low - value) / unit_of(goal), (value - high) / unit_of(goal))
        return math.ceil(10 * beyond - 1e-9) / 10 + self._short(goals, values, metrics)

    def _short(
        self,
        goals: Sequence[Goal],
        values: Mapping[str, Scalar],
        metrics: Mapping[str, float],
    ) -> float:
        """Return what a candidate's chance falls short of what is wanted, in steps, 0 to 1."""
        if not self.odds:
            return 0.0
        plain = [goal for goal in _plain(goals) if goal.metric in self.odds.noise]
        usual = [goal for goal in plain if goal.probability is None]
        short = WANTED - self.odds.chance(usual, values, metrics)
        for goal in plain:
            if goal.probability is not None:
                short = max(short, goal.probability - self.odds.chance([goal], values, metrics))
        return SHORT * math.ceil(max(0.0, short) / SHORT - 1e-9)

    def safe_windows(self, goals: Sequence[Goal]) -> list[tuple[float, float]]:
        """Return the least and greatest value, under the search's seeds, of each metric of a plan
        that is safe.

        A tenth of each tolerance is kept. With chance it is what leaves a chance of 0.8 to meet
        all targets; where nothing does, the values that come nearest to that.
        """
        known = self.odds.noise
        wanted = shares(goals, known)
        return [self._safe(goal, wanted.get(goal.metric)) for goal in goals]

    def _safe(self, goal: Goal, wanted: float | None) -> tuple[float, float]:
        low, high = window(effective(goal))
        noise = self.odds.noise.get(goal.metric)
        if noise is None or noise.deviation <= 0 or wanted is None:
            least, most = _kept(goal)
        else:
            deviation = noise.deviation * careful(noise.seeds, wanted)
            ends = safe_window(deviation, wanted, (low, high))
            least, most = (end - noise.offset for end in ends)
        if least > most - 2 * NARROW * unit_of(goal):
            middle = (least + most) / 2
            reach = NARROW * unit_of(goal)
            least, most = min(least, middle - reach), max(most, middle + reach)
        return least, most

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
            parameter.weight * moved(parameter, values[name])
            for name, parameter in self.spec.parameters.items()
        )


def _plain(goals: Sequence[Goal]) -> list[Goal]:
    """Return goals as one future is judged by them, without what is only to be optimised."""
    return [replace(goal, margin=0.0, shift=0.0) for goal in goals if not goal.is_objective]


def _kept(goal: Goal) -> tuple[float, float]:
    """Return what meets a target with a tenth of its tolerance kept."""
    low, high = window(effective(goal))
    keep = MARGIN * unit_of(goal) if goal.tolerance > 0 else 0.0
    return low + keep, high - keep


def moved(parameter: ParameterSpec, value: Scalar) -> float:
    """Return how far a value is from today's, as a share of its parameter's range."""
    if parameter.choices is not None:
        return float(parameter.current is None or not same_scalar(value, parameter.current))
    low, high = (float(bound) for bound in parameter.bounds)
    current = low if parameter.current is None else float(parameter.current)
    if parameter.log:
        return abs(math.log(float(value) / current)) / math.log(high / low)
    return abs(float(value) - current) / (high - low)


def unit_of(goal: Goal) -> float:
    """Return one tolerance of a resolved goal, in the metric's unit; 2 % where it has none."""
    anchor = next((a for a in (goal.value, goal.high, goal.low) if a is not None), 1.0)
    return allowed_distance(goal, anchor) or DEFAULT_TOLERANCE * (abs(anchor) or 1.0)


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
