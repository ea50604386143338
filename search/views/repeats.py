"""Metrics that repeat, by year or by level: today's path against the plan's, with the target."""

from __future__ import annotations

from dataclasses import dataclass

from search.study.figures import short_with_unit
from search.study.targets import Goal
from search.study.values import Scalar
from search.views.findings import Findings
from search.views.grid import Grid
from search.views.outcomes import side_names
from search.views.targets import short_wanted


@dataclass(frozen=True)
class RepeatPoint:
    """One repetition of a metric.

    Attributes:
        value: Which repetition.
        sides: The metric for today, the plan and the alternatives; None where unknown.
        goal: Its target; None without one.
    """

    value: Scalar
    sides: tuple[float | None, ...]
    goal: Goal | None


@dataclass(frozen=True)
class Repeated:
    """A metric over all of its repetitions.

    Attributes:
        key: The metric's name in the study file.
        loop: What it repeats over.
        unit: Of the metric.
        points: In the study's order.
    """

    key: str
    loop: str
    unit: str | None
    points: tuple[RepeatPoint, ...]


def repeated(findings: Findings) -> list[Repeated]:
    """Return every metric that repeats, in the study's order."""
    goals = findings.goal_of
    groups: dict[tuple[str, str], list[str]] = {}
    for name, loop in findings.loops.items():
        groups.setdefault((loop.key, loop.name), []).append(name)
    alike = []
    for (key, loop_name), names in groups.items():
        points = []
        for name in names:
            sides = [findings.today.metrics.get(name) if findings.today else None]
            sides += [
                side.metrics.get(name) for side in findings.sides if side is not findings.today
            ]
            point = RepeatPoint(findings.loops[name].value, tuple(sides), goals.get(name))
            points.append(point)
        if any(value is not None for point in points for value in point.sides):
            unit = findings.units.get(names[0])
            alike.append(Repeated(key, loop_name, unit, tuple(points)))
    return alike


def repeated_grid(findings: Findings, repeated: Repeated) -> Grid:
    """Return a metric's repetitions as a table."""
    has_goals = any(point.goal is not None for point in repeated.points)
    rows = []
    for point in repeated.points:
        cells = [short_with_unit(value, repeated.unit) for value in point.sides]
        wanted = [short_wanted(point.goal) if point.goal else "-"] if has_goals else []
        rows.append((str(point.value), *wanted, *cells))
    header = (repeated.loop, *(["wanted"] if has_goals else []), *side_names(findings))
    return Grid(header, tuple(rows))
