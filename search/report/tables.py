"""The result of a study as tables for people."""

from __future__ import annotations

from collections.abc import Mapping

from search.driver.results import SearchEnd
from search.study import StudySpec
from search.study.figures import number_text, with_unit
from search.study.targets import Goal, is_met, off_text
from search.study.values import Scalar
from search.views.text import table_text


def goal_text(goal: Goal) -> str:
    """Return what a goal asks for, in a few words."""
    if goal.kind in ("minimize", "maximize"):
        return goal.kind
    if goal.kind == "between":
        return f"{with_unit(goal.low, goal.unit)} to {with_unit(goal.high, goal.unit)}"
    if goal.kind == "at_most":
        return f"at most {with_unit(goal.high, goal.unit)}"
    if goal.kind == "at_least":
        return f"at least {with_unit(goal.low, goal.unit)}"
    return with_unit(goal.value, goal.unit)


def tolerance_text(goal: Goal) -> str:
    """Return a goal's tolerance for people."""
    if goal.is_objective or goal.tolerance == 0:
        return "-"
    if goal.is_relative_tolerance:
        return f"±{goal.tolerance * 100:g} %"
    return f"±{with_unit(goal.tolerance, goal.unit)}"


def targets_table(end: SearchEnd) -> str:
    """Return the targets against what the best trial and the current parameters achieve."""
    rows = []
    for goal in end.goals:
        achieved = end.best.metrics[goal.metric] if end.best else None
        current = end.current.metrics[goal.metric] if end.current else None
        rows.append(
            [
                goal.metric,
                goal_text(goal),
                tolerance_text(goal),
                with_unit(current, goal.unit),
                with_unit(achieved, goal.unit),
                "-" if achieved is None or goal.is_objective else off_text(goal, achieved),
                _verdict(goal, achieved),
            ]
        )
    return table_text(
        ["target", "wanted", "tolerance", "current", "achieved", "variance", "verdict"], rows
    )


def _verdict(goal: Goal, achieved: float | None) -> str:
    if achieved is None:
        return "unknown"
    if goal.is_objective:
        return goal.kind + "d"
    return "met" if is_met(goal, achieved) else "missed"


def parameters_table(spec: StudySpec, values: Mapping[str, Scalar], *, title: str = "best") -> str:
    """Return parameters against their current values and ranges."""
    rows = []
    for name, parameter in spec.parameters.items():
        best, current = values[name], parameter.current
        allowed = (
            " | ".join(number_text(choice) for choice in parameter.choices)
            if parameter.choices is not None
            else f"{with_unit(parameter.low, parameter.unit)} to "
            f"{with_unit(parameter.high, parameter.unit)}"
        )
        rows.append(
            [
                name,
                with_unit(current, parameter.unit),
                with_unit(best, parameter.unit),
                _change(current, best, parameter.unit),
                allowed,
            ]
        )
    return table_text(["parameter", "current", title, "change", "allowed"], rows)


def _change(current: Scalar | None, best: Scalar, unit: str | None) -> str:
    if isinstance(best, str | bool) or isinstance(current, str | bool) or current is None:
        return "same" if best == current else "changed"
    difference = best - current
    if difference == 0:
        return "same"
    if unit == "fraction":
        return f"{difference * 100:+.4g} points"
    return f"{difference:+,.4g}"
