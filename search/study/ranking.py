"""Which of two candidates is better: objectives, loss, rank, and the front of several. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from search.study.targets import Goal, all_met, metric_of, objective_goals, squashed, violation


def constraint_values(goals: Sequence[Goal], metrics: Mapping[str, float]) -> dict[str, float]:
    """Return violation - 1 of each goal that is no objective, by metric: at most 0 where met.

    Raises:
        ValueError: If a metric is missing or not finite.
    """
    return {
        goal.metric: violation(goal, metric_of(goal, metrics)) - 1
        for goal in goals
        if not goal.is_objective
    }


def directions(goals: Sequence[Goal]) -> tuple[Literal["minimize", "maximize"], ...]:
    """Return what Optuna optimises: the loss, or with several objectives each of them."""
    parts = objective_goals(goals)
    if len(parts) < 2:
        return ("minimize",)
    return tuple("minimize" if goal.kind == "minimize" else "maximize" for goal in parts)


def objective_values(goals: Sequence[Goal], metrics: Mapping[str, float]) -> list[float]:
    """Return the values that belong to ``directions``.

    Raises:
        ValueError: If a metric is missing or not finite.
    """
    parts = objective_goals(goals)
    if len(parts) < 2:
        return [loss(goals, metrics)]
    return [metric_of(goal, metrics) for goal in parts]


def objective(goals: Sequence[Goal], metrics: Mapping[str, float]) -> float:
    """Return minimize and maximize goals as one number in (0, 1), smaller is better.

    Each metric's relative change from the current parameters is squashed by atan(asinh(x)),
    which keeps the order; 0.5 stands for today. 0 without such goals.

    Raises:
        ValueError: If a metric is missing or not finite.
    """
    parts = objective_goals(goals)
    if not parts:
        return 0.0
    total = sum(goal.weight for goal in parts)
    return sum(goal.weight * squashed(goal, metric_of(goal, metrics)) for goal in parts) / total


def loss(goals: Sequence[Goal], metrics: Mapping[str, float]) -> float:
    """Return one finite number to minimise.

    The sum over goals of weight x (violation - 1)^2 beyond tolerance: 0 exactly when all
    targets are met, continuous at the edge. With minimize or maximize goals, ``objective``
    is added, and 1 for candidates that miss a target: meeting all comes first.

    Raises:
        ValueError: If a metric is missing or not finite.
    """
    missed = sum(
        goal.weight * max(0.0, violation(goal, metric_of(goal, metrics)) - 1) ** 2 for goal in goals
    )
    if not objective_goals(goals):
        return missed
    return missed + objective(goals, metrics) + (0.0 if all_met(goals, metrics) else 1.0)


def rank_key(goals: Sequence[Goal], metrics: Mapping[str, float]) -> tuple[float, ...]:
    """Return a key by which the best candidate sorts first.

    Candidates that meet all targets come first, ordered by the objective; the others by
    loss; equal ones by the weighted distance from the targets inside tolerance.

    Raises:
        ValueError: If a metric is missing or not finite.
    """
    is_missed = not all_met(goals, metrics)
    inside = math.fsum(
        goal.weight * min(violation(goal, metric_of(goal, metrics)), 1.0) ** 2 for goal in goals
    )
    leading = loss(goals, metrics) if is_missed else objective(goals, metrics)
    return (float(is_missed), leading, inside)


def pareto_front(
    goals: Sequence[Goal], metrics_by_trial: Mapping[int, Mapping[str, float]]
) -> list[int]:
    """Return the trials that meet all targets and that no other such trial beats.

    A trial is beaten by one that is at least as good in every objective and better in one.
    Empty with fewer than two objectives.

    Example:
        >>> goals = [Goal("cost", "minimize"), Goal("growth", "maximize")]
        >>> pareto_front(goals, {
        ...     0: {"cost": 1.0, "growth": 1.0},
        ...     1: {"cost": 2.0, "growth": 3.0},
        ...     2: {"cost": 2.0, "growth": 2.0},
        ... })
        [0, 1]
    """
    parts = objective_goals(goals)
    if len(parts) < 2:
        return []
    signs = {goal.metric: 1.0 if goal.kind == "minimize" else -1.0 for goal in parts}
    points = {
        trial: tuple(sign * metrics[name] for name, sign in signs.items())
        for trial, metrics in metrics_by_trial.items()
        if all_met(goals, metrics)
    }
    return sorted(
        trial
        for trial, point in points.items()
        if not any(_beats(other, point) for other in points.values())
    )


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
