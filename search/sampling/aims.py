"""Goals as arrays: how far model predictions are from being met, in units of tolerance. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search.study.targets import DEFAULT_TOLERANCE, Goal, effective

Array = NDArray[np.float64]

CENTRE_PULL = 0.25
"""Slope of the pull to a target's centre inside tolerance, relative to the slope outside."""
SOFT_MARGIN = 0.25
"""How far inside a bound without tolerance the model aims, in units."""


@dataclass(frozen=True)
class Aims:
    """Several goals, one column each; arrays broadcast against (..., goals).

    Attributes:
        low: Smallest value that meets the goal; -inf without one.
        high: Largest value that meets the goal; inf without one.
        soft_low: Where the pull to larger values ends.
        soft_high: Where the pull to smaller values ends.
        low_unit: One tolerance at the lower end, in the metric's unit.
        high_unit: One tolerance at the upper end, in the metric's unit.
        weight: Priority.
        direction: 1 to minimise, -1 to maximise, 0 for a target.
        reference: Value of an objective at the current parameters; 0 for targets.
    """

    low: Array
    high: Array
    soft_low: Array
    soft_high: Array
    low_unit: Array
    high_unit: Array
    weight: Array
    direction: Array
    reference: Array

    @classmethod
    def of(cls, goals: Sequence[Goal]) -> Aims:
        """Return the goals as arrays, in their order.

        Raises:
            ValueError: If a ``change`` is not resolved.
        """
        rows = [_judged(goal) for goal in goals]
        columns = np.array(rows, dtype=float).reshape(len(rows), 9).T
        return cls(*columns)

    @property
    def has_objective(self) -> bool:
        """Whether something is to be minimised or maximised."""
        return bool(np.any(self.direction != 0))

    def only(self, keep: Sequence[int] | NDArray[np.intp]) -> Aims:
        """Return the goals at some positions as the only ones; the others ask for nothing."""
        mask = np.zeros(len(self.low), dtype=bool)
        mask[list(keep)] = True
        inf = np.inf
        return Aims(
            low=np.where(mask, self.low, -inf),
            high=np.where(mask, self.high, inf),
            soft_low=np.where(mask, self.soft_low, -inf),
            soft_high=np.where(mask, self.soft_high, inf),
            low_unit=self.low_unit,
            high_unit=self.high_unit,
            weight=self.weight,
            direction=np.where(mask, self.direction, 0.0),
            reference=self.reference,
        )

    def excess(self, metrics: Array) -> Array:
        """Return by how many tolerances each metric lies outside what meets its goal, signed."""
        above = np.maximum(0.0, (metrics - self.high) / self.high_unit)
        below = np.maximum(0.0, (self.low - metrics) / self.low_unit)
        return np.asarray(above - below)

    def distance(self, metrics: Array) -> Array:
        """Return how far each metric lies outside what meets its goal, in its unit, at least 0."""
        return np.asarray(np.maximum(0.0, np.maximum(metrics - self.high, self.low - metrics)))

    def loss(self, metrics: Array) -> Array:
        """Return the weighted sum of squared excesses: 0 exactly where all targets are met."""
        return np.asarray((self.weight * self.excess(metrics) ** 2).sum(axis=-1))

    def objective(self, metrics: Array) -> Array:
        """Return minimize and maximize goals as one number, smaller is better.

        The weighted mean of relative changes from the current parameters, unbounded, in the
        same order as ``search.study.ranking.objective`` when there is one such goal.
        """
        weight = self.weight * np.abs(self.direction)
        scale = np.maximum(np.abs(self.reference), 1e-9)
        change = self.direction * (metrics - self.reference) / scale
        return np.asarray((weight * change).sum(axis=-1) / max(float(weight.sum()), 1e-300))

    def residual(self, metrics: Array) -> tuple[Array, Array]:
        """Return what least squares drives to 0, and its derivative by each metric.

        Outside tolerance it is the excess; a weaker pull leads to the centre, so that the
        answer has room on all sides when there is room.
        """
        root = np.sqrt(self.weight)
        pulls = (
            (1.0, self.low, self.high),
            (CENTRE_PULL, self.soft_low, self.soft_high),
        )
        value = np.zeros(np.shape(metrics))
        slope = np.zeros(np.shape(metrics))
        for strength, low, high in pulls:
            above = (metrics - high) / self.high_unit
            below = (low - metrics) / self.low_unit
            value += strength * (np.maximum(0.0, above) - np.maximum(0.0, below))
            slope += strength * ((above > 0) / self.high_unit + (below > 0) / self.low_unit)
        return root * value, root * slope


def _judged(goal: Goal) -> tuple[float, ...]:
    """Return a goal's row as candidates are judged: a margin moves limits, and keeps their unit."""
    judged = effective(goal)
    low, high, soft_low, soft_high, low_unit, high_unit, *rest = _row(judged)
    if judged is not goal:
        low_unit, high_unit = _row(replace(goal, margin=0.0, shift=0.0))[4:6]
    return (low, high, soft_low, soft_high, low_unit, high_unit, *rest)


def _row(goal: Goal) -> tuple[float, ...]:
    inf = np.inf
    if goal.is_objective:
        sign = 1.0 if goal.kind == "minimize" else -1.0
        return (-inf, inf, -inf, inf, 1.0, 1.0, goal.weight, sign, goal.value or 0.0)
    if goal.kind == "equal":
        if goal.value is None:
            raise ValueError(f"the change of {goal.metric} must be resolved by resolve_goals first")
        low, unit, _, _ = _bound(goal, goal.value, -1.0)
        high, _, _, _ = _bound(goal, goal.value, 1.0)
        return (low, high, goal.value, goal.value, unit, unit, goal.weight, 0.0, 0.0)
    low, low_unit, soft_low, high, high_unit, soft_high = -inf, 1.0, -inf, inf, 1.0, inf
    width = inf
    if goal.kind == "between" and goal.low is not None and goal.high is not None:
        width = goal.high - goal.low
    if goal.low is not None:
        low, low_unit, soft_low, _ = _bound(goal, goal.low, -1.0, width)
    if goal.high is not None:
        high, high_unit, soft_high, _ = _bound(goal, goal.high, 1.0, width)
    return (low, high, soft_low, soft_high, low_unit, high_unit, goal.weight, 0.0, 0.0)


def _bound(
    goal: Goal, anchor: float, sign: float, width: float = np.inf
) -> tuple[float, float, float, float]:
    """Return the last value that is met, the unit, and where the model should aim."""
    allowed = goal.tolerance * abs(anchor) if goal.is_relative_tolerance else goal.tolerance
    if allowed > 0:
        return anchor + sign * allowed, allowed, anchor, allowed
    unit = DEFAULT_TOLERANCE * (abs(anchor) or 1.0)
    soft = anchor - sign * min(SOFT_MARGIN * unit, width / 2)
    return anchor, unit, soft, 0.0
