"""A target as people see it, worked out once: terminal, page, rows and Dagster render it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from search.study.figures import number_text, short_with_unit, with_unit
from search.study.targets import Goal, is_distance, is_met, is_resolved, off_text, variance

UNKNOWN = "-"
"""Shown where there is no value."""


@dataclass(frozen=True)
class TargetView:
    """A target against what today's and the recommended parameters yield, as text.

    Attributes:
        name: Of the metric.
        wanted: What is asked for.
        tolerance: Allowed distance; that of a rate is in points where it is absolute.
        current: The metric at the current parameters.
        achieved: The metric of the candidate.
        variance: How far it is from the target; ``inside`` where a bound holds.
        verdict: ``met``, ``missed``, ``unknown``, or ``minimized`` and ``maximized``.
        is_met: The same for programs; None where there is no verdict.
    """

    name: str
    wanted: str
    tolerance: str
    current: str
    achieved: str
    variance: str
    verdict: str
    is_met: bool | None

    @classmethod
    def of(cls, goal: Goal, current: float | None, achieved: float | None) -> TargetView:
        """Return a target with what is known of its metric."""
        met = verdict_of(goal, achieved)
        words = {True: "met", False: "missed", None: "unknown"}[met]
        return cls(
            name=goal.metric,
            wanted=wanted_text(goal),
            tolerance=tolerance_text(goal),
            current=with_unit(current, goal.unit),
            achieved=with_unit(achieved, goal.unit),
            variance=variance_text(goal, achieved),
            verdict=goal.kind + "d" if goal.is_objective and achieved is not None else words,
            is_met=met,
        )

    @property
    def row(self) -> list[str]:
        """The cells under ``HEADER``."""
        return [
            self.name, self.wanted, self.tolerance, self.current, self.achieved, self.variance,
            self.verdict,
        ]  # fmt: skip


@dataclass(frozen=True)
class Judgement:
    """A metric against its target, for programs.

    Attributes:
        achieved: The metric; None when unknown.
        variance: As ``search.study.targets.variance``; None when unknown.
        is_met: Whether it meets the target; None when unknown.
    """

    achieved: float | None
    variance: float | None
    is_met: bool | None

    @classmethod
    def of(cls, goal: Goal, achieved: float | None) -> Judgement:
        """Return what is known of a metric against its target."""
        if achieved is None or not is_resolved(goal):
            return cls(achieved, None, None)
        return cls(achieved, variance(goal, achieved), is_met(goal, achieved))


def goal_document(goal: Goal, achieved: float | None) -> dict[str, Any]:
    """Return a target with what was achieved, as ``run --json`` prints it."""
    judged = Judgement.of(goal, achieved)
    return {
        "metric": goal.metric,
        "kind": goal.kind,
        "value": goal.value,
        "low": goal.low,
        "high": goal.high,
        "tolerance": goal.tolerance,
        "is_relative_tolerance": goal.is_relative_tolerance,
        "unit": goal.unit,
        "achieved": judged.achieved,
        "variance": judged.variance,
        "is_met": judged.is_met,
    }


def target_document(goal: Goal, achieved: float | None) -> dict[str, Any]:
    """Return a target with what was achieved, as ``status --json`` prints it."""
    judged = Judgement.of(goal, achieved)
    is_known = achieved is not None and is_resolved(goal)
    return {
        "metric": goal.metric,
        "wanted": wanted_text(goal),
        "unit": goal.unit,
        "achieved": judged.achieved,
        "variance": judged.variance,
        "variance_text": variance_text(goal, achieved),
        "is_objective": goal.is_objective,
        "is_of_zero": is_known and achieved is not None and is_distance(goal, achieved),
        "is_met": judged.is_met,
    }


HEADER = ["target", "wanted", "tolerance", "current", "achieved", "variance", "verdict"]


def verdict_of(goal: Goal, achieved: float | None) -> bool | None:
    """Return whether a metric meets its target; None where that is not known or not asked."""
    if achieved is None or goal.is_objective or not is_resolved(goal):
        return None
    return is_met(goal, achieved) if math.isfinite(achieved) else None


def variance_text(goal: Goal, value: float | None) -> str:
    """Return how far a metric is from its target.

    Example:
        >>> goal = Goal("growth", "at_least", low=0.02, unit="fraction")
        >>> variance_text(goal, 0.03), variance_text(goal, 0.01), variance_text(goal, None)
        ('inside', '-50.00 %', '-')
    """
    if value is None or goal.is_objective or not is_resolved(goal) or not math.isfinite(value):
        return UNKNOWN
    return off_text(goal, value)


def wanted_text(goal: Goal) -> str:
    """Return what a target asks for, in a few words."""
    return _wanted(goal, with_unit)


def short_wanted(goal: Goal) -> str:
    """Return the same with four digits.

    Example:
        >>> short_wanted(Goal("cost", "at_most", high=10_900_000_000.0, unit="USD"))
        'at most 10.9 bn USD'
    """
    return _wanted(goal, short_with_unit)


def _wanted(goal: Goal, shown: Callable[[float | None, str | None], str]) -> str:
    if goal.is_objective:
        return goal.kind
    if goal.kind == "between":
        return f"{shown(goal.low, goal.unit)} to {shown(goal.high, goal.unit)}"
    if goal.kind == "at_most":
        return f"at most {shown(goal.high, goal.unit)}"
    if goal.kind == "at_least":
        return f"at least {shown(goal.low, goal.unit)}"
    if goal.value is None and goal.change is not None:
        return f"{goal.change * 100:+.2f} % against current"
    return shown(goal.value, goal.unit)


def tolerance_text(goal: Goal) -> str:
    """Return a target's tolerance: relative in percent, that of a rate in points when absolute.

    Example:
        >>> tolerance_text(Goal("growth", "equal", 0.03, tolerance=0.01, unit="fraction"))
        '±1 %'
        >>> tolerance_text(
        ...     Goal(
        ...         "growth", "equal", 0.03, tolerance=0.001, is_relative_tolerance=False,
        ...         unit="fraction",
        ...     )
        ... )
        '±0.1 points'
    """
    if goal.is_objective or goal.tolerance == 0:
        return UNKNOWN
    if goal.is_relative_tolerance:
        return f"±{goal.tolerance * 100:g} %"
    if goal.unit == "fraction":
        return f"±{goal.tolerance * 100:g} points"
    return f"±{number_text(goal.tolerance)}" + (f" {goal.unit}" if goal.unit else "")


def accepted_band(goal: Goal) -> tuple[float, float] | None:
    """Return the accepted values of a metric; None for an objective or an unknown target."""
    if goal.is_objective or (goal.kind == "equal" and goal.value is None):
        return None
    low = goal.value if goal.kind == "equal" else goal.low
    high = goal.value if goal.kind == "equal" else goal.high
    return (
        -math.inf if low is None else low - tolerance_at(goal, abs(low)),
        math.inf if high is None else high + tolerance_at(goal, abs(high)),
    )


def tolerance_at(goal: Goal, size: float) -> float:
    """Return a target's tolerance in the metric's unit; ``size`` is the target or the bound."""
    return goal.tolerance * size if goal.is_relative_tolerance else goal.tolerance
