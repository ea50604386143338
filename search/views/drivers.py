"""What moves the plan's metrics: effects by size, today to plan by parameter, what breaks it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.study.figures import short_with_unit, with_unit
from search.study.values import is_number
from search.views.findings import Findings, spoken
from search.views.headline import distance_text
from search.views.targets import accepted_band

SHARE = 0.01
"""Part of a parameter's range by which effects are compared."""


@dataclass(frozen=True)
class DrivingParameter:
    """What a parameter does to one metric at the plan.

    Attributes:
        parameter: Its name.
        effect: Change of the metric for a hundredth of the parameter's range, or for another
            choice; None where it is not known with its sign.
        low: Where the effect begins, by its interval; None where it was evaluated.
        high: Where it ends.
        step: What the parameter does for it, as text.
        is_evaluated: Whether the scenario was evaluated for it; else it is the model's estimate.
    """

    parameter: str
    effect: float | None
    low: float | None
    high: float | None
    step: str
    is_evaluated: bool


def drivers(findings: Findings) -> dict[str, list[DrivingParameter]]:
    """Return the drivers of each metric that has effects, the strongest first, unknown ones last.

    Parameters that do nothing to a metric are left out.
    """
    drivers_of: dict[str, list[DrivingParameter]] = {}
    for effect in findings.appraisal.get("effects") or ():
        driver = _driver(findings, effect)
        if driver is not None and driver.effect != 0.0:
            drivers_of.setdefault(effect["metric"], []).append(driver)
    for listed in drivers_of.values():
        listed.sort(key=lambda row: (row.effect is None, -abs(row.effect or 0.0)))
    return drivers_of


def _driver(findings: Findings, effect: Mapping[str, Any]) -> DrivingParameter | None:
    parameter = findings.parameters.get(effect["parameter"])
    if parameter is None:
        return None
    change, name = known_effect(effect), effect["parameter"]
    start, end = effect["start"], effect["end"]
    interval = effect.get("interval") if effect.get("evaluated") is None else None
    factor, step = 1.0, f"{with_unit(start, parameter.unit)} to {with_unit(end, parameter.unit)}"
    width = _width(parameter.low, parameter.high)
    if width is not None and is_number(start) and is_number(end) and end != start:
        factor = SHARE * width / (end - start)
        step = f"+{distance_text(SHARE * width, parameter.unit)}"
    ends = sorted(end * factor for end in interval) if interval else [None, None]
    return DrivingParameter(
        parameter=name,
        effect=None if change is None else change * factor,
        low=ends[0],
        high=ends[1],
        step=step,
        is_evaluated=effect.get("evaluated") is not None,
    )


def known_effect(effect: Mapping[str, Any]) -> float | None:
    """Return what a step does, in the metric's unit; None where its sign is not known."""
    if effect.get("evaluated") is not None:
        return float(effect["evaluated"])
    if effect.get("modelled") is None:
        return None
    if effect.get("modelled") == 0 and not effect.get("uncertainty"):
        return 0.0
    return None if effect.get("is_known") is False else float(effect["modelled"])


def slopes(findings: Findings, metric: str) -> dict[str, float]:
    """Return the change of a metric for a whole unit of each numeric parameter, where known."""
    steepness = {}
    for effect in findings.appraisal.get("effects") or ():
        start, end = effect["start"], effect["end"]
        change = known_effect(effect)
        if effect["metric"] != metric or change is None:
            continue
        if is_number(start) and is_number(end) and end != start:
            steepness[effect["parameter"]] = change / (end - start)
    return steepness


@dataclass(frozen=True)
class WalkStep:
    """A part of the way from today's metric to the plan's.

    Attributes:
        name: The parameter, or what the rest is.
        change: Part of the change, in the metric's unit.
        what: How the parameter moves, as text.
    """

    name: str
    change: float
    what: str = ""


def walk(findings: Findings, metric: str) -> list[WalkStep]:
    """Return how a metric gets from today to the plan, by parameter; the parts add up exactly.

    A parameter's part is its move times what a step of it does at the plan; what that leaves is
    the last part. Empty where nothing moves or nothing is known.
    """
    today, plan = findings.today, findings.plan
    if today is None or plan is None or metric not in today.metrics:
        return []
    if metric not in plan.metrics:
        return []
    known = slopes(findings, metric)
    total = plan.metrics[metric] - today.metrics[metric]
    steps, unknown = [], []
    for name, parameter in findings.parameters.items():
        before, after = today.values.get(name), plan.values.get(name)
        if before == after or before is None or after is None:
            continue
        what = f"{with_unit(before, parameter.unit)} to {with_unit(after, parameter.unit)}"
        if name in known and is_number(before) and is_number(after):
            steps.append(WalkStep(name, known[name] * (float(after) - float(before)), what))
        else:
            unknown.append(name)
    rest = total - math.fsum(step.change for step in steps)
    if not steps:
        return []
    steps.sort(key=lambda step: -abs(step.change))
    if unknown or abs(rest) > 1e-9 * abs(total):
        name = ", ".join([*unknown, "the rest"])
        steps.append(WalkStep(name, rest, "what no single step tells"))
    return steps


def breaking_lines(findings: Findings) -> list[str]:
    """Return for each target of the plan which single parameter breaks it first, and where."""
    plan = findings.plan
    lines = []
    for goal in findings.goals:
        band = accepted_band(goal)
        achieved = plan.metrics.get(goal.metric) if plan else None
        if plan is None or achieved is None or band is None or not band[0] <= achieved <= band[1]:
            continue
        nearest: tuple[float, str, float, float] | None = None
        for name, slope in slopes(findings, goal.metric).items():
            parameter, value = findings.parameters[name], plan.values.get(name)
            width = _width(parameter.low, parameter.high)
            if not width or not slope or not is_number(value):
                continue
            for end in band:
                move = (end - achieved) / slope
                stays = parameter.low <= float(value) + move <= parameter.high  # type: ignore[operator, arg-type]
                if math.isfinite(move) and stays:
                    share = abs(move) / width
                    if nearest is None or share < nearest[0]:
                        nearest = (share, name, move, end)
        if nearest is None:
            continue
        _, name, move, end = nearest
        word = "rises" if move > 0 else "falls"
        side = "above" if end == band[1] else "below"
        by = distance_text(float(f"{move:.2g}"), findings.parameters[name].unit)
        lines.append(
            f"{spoken(goal.metric)} goes {side} {short_with_unit(end, goal.unit)} when {name} "
            f"{word} by about {by} and nothing else moves."
        )
    return lines


def _width(low: float | None, high: float | None) -> float | None:
    return None if low is None or high is None or high <= low else float(high) - float(low)
