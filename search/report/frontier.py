"""A frontier for people: a table for the terminal, a plot of the parameters along it, JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.audit.schema import DATABASE_NAME
from search.driver.frontier import FrontierPoint, FrontierResult
from search.report.render import styled_file
from search.report.shapes import box, dot, label, line, path, svg
from search.study import StudySpec, expand_metrics
from search.study.figures import with_unit
from search.study.preference import moved
from search.study.vary import Vary
from search.system import files
from search.views.text import counted, table_text

WIDTH = 80
"""Columns of a terminal that a table fits into."""
LEFT, TOP, LANE, PLOT = 210.0, 40.0, 64.0, 560.0
"""Of the plot, in pixels: room for names, room for the title, a parameter, the axis."""


def frontier_document(result: FrontierResult) -> dict[str, Any]:
    """Return a frontier as JSON-safe values."""
    return {
        "study": result.study,
        "vary": [
            {"metric": vary.metric, "low": vary.low, "high": vary.high, "count": vary.count}
            for vary in result.varies
        ],
        "points": [
            {name: value for name, value in point.document().items() if name != "evaluated"}
            | {"new_evaluations": len(point.evaluated)}
            for point in result.points
        ],
        "new_evaluations": sum(len(point.evaluated) for point in result.points),
        "plot_path": str(plot_path(result.folder, result.varies)),
        "audit_path": str(result.folder / DATABASE_NAME),
    }


def frontier_text(spec: StudySpec, result: FrontierResult) -> str:
    """Return a frontier for people."""
    names = " and ".join(vary.metric for vary in result.varies)
    met = sum(point.is_met for point in result.points)
    parts = [
        f"{result.study}: {names} varied, every target met at {met} of "
        f"{counted(len(result.points), 'point')}"
    ]
    if len(result.varies) == 2:
        parts += ["", _map_text(result)]
    for table in _tables(spec, result):
        parts += ["", table]
    reasons = [
        f"  {_at(result.varies, point)}: {point.reason}" for point in result.points if point.reason
    ]
    parts += ["", "not reached:", *reasons] if reasons else []
    evaluated = sum(len(point.evaluated) for point in result.points)
    parts += [
        "",
        f"{counted(evaluated, 'new evaluation')}; the others were known",
        f"plot: {plot_path(result.folder, result.varies)}",
        f"audit trail: {result.folder / DATABASE_NAME} (target_frontier)",
    ]
    return "\n".join(parts)


def _at(varies: Sequence[Vary], point: FrontierPoint) -> str:
    return ", ".join(f"{vary.metric} {vary.shown(point.levels[vary.metric])}" for vary in varies)


def _tables(spec: StudySpec, result: FrontierResult) -> list[str]:
    """Return the points with parameters, and with metrics, in as many tables as 80 columns need."""
    units = {metric.name: metric.unit for metric in expand_metrics(spec)}
    varied = [(f"{vary.metric} wanted", [vary.shown(p.levels[vary.metric]) for p in result.points])
              for vary in result.varies]  # fmt: skip
    columns = [
        (name, [with_unit(point.values[name], parameter.unit) for point in result.points])
        for name, parameter in spec.parameters.items()
    ]
    wanted = [goal.metric for goal in result.goals]
    wanted += [vary.metric for vary in result.varies if vary.metric not in wanted]
    columns += [
        (name, [with_unit(point.metrics.get(name), units.get(name)) for point in result.points])
        for name in wanted
    ]
    columns.append(("new", [str(len(point.evaluated)) for point in result.points]))
    columns.append(("targets", ["met" if p.is_met else "MISSED" for p in result.points]))
    heads = [*varied]
    tables, chosen = [], list(heads)
    for column in columns:
        if len(chosen) > len(heads) and _width([*chosen, column]) > WIDTH:
            tables.append(chosen)
            chosen = list(heads)
        chosen.append(column)
    tables.append(chosen)
    return [
        table_text(
            [name for name, _ in columns], list(zip(*(cells for _, cells in columns), strict=True))
        )
        for columns in tables
    ]


def _width(columns: Sequence[tuple[str, Sequence[str]]]) -> int:
    return sum(max(map(len, [name, *cells])) + 2 for name, cells in columns) - 2


def _map_text(result: FrontierResult) -> str:
    """Return where both targets can be met: a row for each value of the first."""
    first, second = result.varies
    state = {tuple(point.levels.values()): point.is_met for point in result.points}
    rows = [
        [first.shown(a), *("met" if state[a, b] else "-" for b in second.values)]
        for a in first.values
    ]
    return table_text(
        [f"{first.metric} \\ {second.metric}", *(second.shown(b) for b in second.values)], rows
    )


# --- the plot -------------------------------------------------------------------


def plot_path(folder: Path, varies: Sequence[Vary]) -> Path:
    """Return where the plot of a frontier stands."""
    return folder / f"frontier-{'-'.join(vary.metric for vary in varies)}.svg"


def write_plot(spec: StudySpec, result: FrontierResult) -> Path:
    """Write the parameters along a frontier as a figure, and return its path.

    Along a map each row of points follows the one before.
    """
    target = plot_path(result.folder, result.varies)
    files.write_durably(target, frontier_picture(spec, result).encode())
    return target


def frontier_picture(spec: StudySpec, result: FrontierResult) -> str:
    """Return the parameters along a frontier as an SVG file."""
    return styled_file(_plot(spec, result))


def _plot(spec: StudySpec, result: FrontierResult) -> Any:
    """Return one lane for each parameter: its value at each point, hollow where targets miss."""
    points = result.points
    axis = result.varies[-1] if len(result.varies) == 1 else None
    title = " and ".join(vary.metric for vary in result.varies)
    parts = [label(LEFT, TOP - 18, f"parameters along {title}", look="strong")]
    step = PLOT / max(1, len(points) - 1)
    for row, (name, parameter) in enumerate(spec.parameters.items()):
        floor = TOP + (row + 1) * LANE - 14
        shares = [moved_share(parameter, point.values[name]) for point in points]
        places = [(LEFT + i * step, floor - share * (LANE - 26)) for i, share in enumerate(shares)]
        parts.append(line(LEFT, floor, LEFT + PLOT, floor, "axis"))
        parts.append(label(LEFT - 12, floor - 14, name, anchor="end", look="strong"))
        shown = [with_unit(points[i].values[name], parameter.unit) for i in (0, -1)]
        parts.append(label(LEFT - 12, floor + 1, f"{shown[0]} to {shown[1]}", anchor="end"))
        parts.append(path(places, "l lbest"))
        for place, point in zip(places, points, strict=True):
            said = with_unit(point.values[name], parameter.unit)
            tip = f"{_at(result.varies, point)}: {name} {said}"
            look = "mark" if point.is_met else "p lnow"
            parts.append(dot(*place, 5.0, look, tip if point.is_met else f"{tip} (missed)"))
    base = TOP + len(spec.parameters) * LANE
    if axis is not None:
        for i, value in enumerate(axis.values):
            if i % (1 + len(points) // 8) == 0:
                parts.append(label(LEFT + i * step, base + 12, axis.shown(value), anchor="middle"))
    else:
        parts += _cells(result, base)
    return svg(LEFT + PLOT + 80, base + 34, parts, label=f"parameters along {title}", look="broad")


def _cells(result: FrontierResult, base: float) -> list[Any]:
    """Return a strip under a map's points: filled where both targets are met."""
    step = PLOT / max(1, len(result.points) - 1)
    return [
        box(LEFT + i * step - 4, base, 8, 8, "mark" if point.is_met else "track",
            title=_at(result.varies, point))
        for i, point in enumerate(result.points)
    ]  # fmt: skip


def moved_share(parameter: Any, value: Any) -> float:
    """Return where a value lies in its parameter's range, 0 to 1; a choice by its place."""
    if parameter.choices is not None:
        place: Mapping[Any, int] = {choice: i for i, choice in enumerate(parameter.choices)}
        return place.get(value, 0) / max(1, len(place) - 1)
    low = min(float(bound) for bound in parameter.bounds)
    at_low = moved(parameter, low)
    here = moved(parameter, value)
    current = low if parameter.current is None else float(parameter.current)
    return min(1.0, max(0.0, at_low + (here if float(value) >= current else -here)))
