"""The report's figures about a search: pure functions from numbers to SVG.

Colours and fonts come from the page's style, so that a figure follows light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from search.report.shapes import (
    Shape,
    box,
    dot,
    label,
    line,
    nice_ticks,
    path,
    pixels,
    polygon,
    shortened,
    strokes,
    svg,
)

SHADES = 6
"""Classes of colour, from the least loss to the greatest."""
MANY_POINTS = 400
"""Above this many a plot draws its points as one path, without a tooltip each."""


@dataclass(frozen=True)
class Distance:
    """Where a target's metric stands, in tolerances from the target.

    Attributes:
        low: Where the accepted band begins; minus infinity when it is open.
        high: Where it ends; infinity when it is open.
        current: At the current parameters; None if unknown.
        best: In the best trial; None if unknown.
    """

    low: float
    high: float
    current: float | None
    best: float | None


def distance_bar(distance: Distance, *, label_text: str) -> Markup:
    """Return a small bar: the accepted band, a hollow mark for current, a full one for best.

    What is too far away for the bar becomes an arrow.
    """
    width, height, edge = 150.0, 22.0, 9.0
    known = [abs(x) for x in (distance.current, distance.best) if x is not None]
    span = min(30.0, max(2.0, *(1.2 * x for x in known))) if known else 2.0

    def at(units: float) -> float:
        # By the square root, so that the band stays visible beside what is far away.
        share = math.copysign(math.sqrt(min(1.0, abs(units) / span)), units)
        return edge + (share + 1) / 2 * (width - 2 * edge)

    middle = height / 2
    left = 0.0 if distance.low == -math.inf else at(distance.low)
    right = width if distance.high == math.inf else at(distance.high)
    parts = [
        box(0, middle - 4, width, 8, "track", 4),
        box(left, middle - 4, right - left, 8, "band", 4 if right - left > 8 else 1),
    ]
    if distance.low != -math.inf and distance.high != math.inf:
        parts.append(line(at(0), middle - 7, at(0), middle + 7, "goal"))
    for units, class_, radius in ((distance.current, "hollow", 4.2), (distance.best, "mark", 5.2)):
        if units is None:
            continue
        if abs(units) > span:
            sign = math.copysign(1, units)
            tip = at(units) + sign * 7
            ends = [(tip - sign * 8, middle - 5), (tip, middle), (tip - sign * 8, middle + 5)]
            parts.append(polygon(ends, class_))
        else:
            parts.append(dot(at(units), middle, radius, class_))
    return svg(width, height, parts, label=label_text)


def range_bar(*, current: float | None, best: float | None, label_text: str) -> Markup:
    """Return a parameter's range: a hollow mark for current, a full one for best.

    Args:
        current: Position between 0 and 1; None if unknown.
        best: Position between 0 and 1; None if unknown.
        label_text: For screen readers.
    """
    width, height, edge = 150.0, 20.0, 7.0
    middle = height / 2

    def at(share: float) -> float:
        return edge + share * (width - 2 * edge)

    parts = [box(0, middle - 3, width, 6, "track", 3)]
    if current is not None and best is not None:
        left, right = sorted((at(current), at(best)))
        parts.append(box(left, middle - 1.5, right - left, 3, "used"))
    if current is not None:
        parts.append(dot(at(current), middle, 4.2, "hollow"))
    if best is not None:
        parts.append(dot(at(best), middle, 5.2, "mark"))
    return svg(width, height, parts, label=label_text)


@dataclass(frozen=True)
class Point:
    """One trial in a course over trials.

    Attributes:
        trial: Its number.
        value: What is plotted; None for a failed trial.
        title: Tooltip.
        is_best: Whether to mark it.
    """

    trial: int
    value: float | None
    title: str
    is_best: bool = False


@dataclass(frozen=True)
class Course:
    """A value over all trials.

    Attributes:
        points: In order of trials.
        starts: First trial of each iteration.
        band: Accepted values (ends may be infinite), or None.
        goal: The wanted value, or None.
        best_so_far: The value of the best trial at each trial.
        tick_text: Value to the text at the left axis.
        side_text: Value to the text at the right axis; None for no such axis.
        scale: Value to what is drawn, increasing.
        ticks: Values at the axis; round ones when None.
    """

    points: Sequence[Point]
    starts: Sequence[int]
    band: tuple[float, float] | None
    goal: float | None
    best_so_far: Sequence[tuple[int, float]]
    tick_text: Callable[[float], str]
    side_text: Callable[[float], str] | None = None
    scale: Callable[[float], float] = float
    ticks: Sequence[float] | None = None


def course_plot(
    course: Course, *, label_text: str, width: float = 520, height: float = 200
) -> Markup:
    """Return a value over the trials, with the accepted band and the best so far."""
    left, right, top, bottom = 68.0, 58.0 if course.side_text else 12.0, 10.0, 34.0
    known = [course.scale(p.value) for p in course.points if p.value is not None]
    shown = list(known)
    if course.goal is not None:
        shown.append(course.scale(course.goal))
    shown += [course.scale(end) for end in course.band or () if math.isfinite(end)]
    shown += [course.scale(tick) for tick in course.ticks or ()][:1]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    pad = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    low, high = low - pad, high + pad
    numbers = [point.trial for point in course.points]
    first, last = (min(numbers), max(numbers)) if numbers else (0, 1)

    def x(trial: float) -> float:
        share = (trial - first) / (last - first) if last > first else 0.5
        return left + 8 + share * (width - left - right - 16)

    def y(scaled: float) -> float:
        inside = max(low, min(high, scaled))
        return top + (high - inside) / (high - low) * (height - top - bottom)

    floor = height - bottom
    parts = []
    if course.band is not None:
        ends = [
            course.scale(end) if math.isfinite(end) else math.copysign(math.inf, end)
            for end in course.band
        ]
        above, below = y(ends[1]), y(ends[0])
        parts.append(box(left, above, width - left - right, max(below - above, 1.5), "band"))
    parts += [line(x(start - 0.5), top, x(start - 0.5), floor, "axis") for start in course.starts]
    ticks = course.ticks if course.ticks is not None else nice_ticks(low, high, 4)
    for tick in ticks:
        at = y(course.scale(tick))
        if not low <= course.scale(tick) <= high:
            continue
        parts.append(line(left, at, width - right, at, "axis"))
        parts.append(label(left - 6, at + 4, course.tick_text(tick), anchor="end"))
        if course.side_text is not None:
            parts.append(label(width - right + 6, at + 4, course.side_text(tick)))
    if course.goal is not None:
        at = y(course.scale(course.goal))
        parts.append(line(left, at, width - right, at, "goal"))
    stairs: list[tuple[float, float]] = []
    for trial, value in course.best_so_far:
        at = y(course.scale(value))
        if stairs:
            stairs.append((x(trial), stairs[-1][1]))
        stairs.append((x(trial), at))
    if stairs:
        stairs.append((x(last), stairs[-1][1]))
    parts.append(path(stairs, "bestline"))
    parts += _points(course.points, x, lambda value: y(course.scale(value)), floor)
    for tick in nice_ticks(first, last, 8) if last > first else [first]:
        if tick == int(tick):
            parts.append(label(x(tick), floor + 15, f"{int(tick):,}", anchor="middle"))
    parts.append(label((left + width - right) / 2, height - 3, "trial", anchor="middle"))
    return svg(width, height, parts, label=label_text)


def _points(
    points: Sequence[Point],
    x: Callable[[float], float],
    y: Callable[[float], float],
    floor: float,
) -> list[Shape]:
    parts = []
    done = [(x(p.trial), y(p.value), p) for p in points if p.value is not None]
    if len(done) > MANY_POINTS:
        steps = "".join(f"M{pixels(px)} {pixels(py)}h0" for px, py, _ in done)
        parts.append(strokes(steps, "dots"))
    else:
        parts += [dot(px, py, 3, "dot", point.title) for px, py, point in done]
    failed = [x(p.trial) for p in points if p.value is None]
    if failed:
        steps = "".join(f"M{pixels(px - 3)} {pixels(floor - 7)}l6 6m0 -6l-6 6" for px in failed)
        parts.append(strokes(steps, "cross"))
    return [
        *parts,
        *(dot(px, py, 5, "mark", trial.title) for px, py, trial in done if trial.is_best),
    ]


@dataclass(frozen=True)
class PlotAxis:
    """One axis of parallel coordinates.

    Attributes:
        name: Shown above it.
        top: Text of its upper end.
        bottom: Text of its lower end.
    """

    name: str
    top: str
    bottom: str


@dataclass(frozen=True)
class Polyline:
    """One trial in parallel coordinates.

    Attributes:
        positions: For each axis between 0 and 1; None where it has no value.
        kind: ``best``, ``now``, ``fail``, or a shade from ``0`` (least loss).
        title: Tooltip.
    """

    positions: Sequence[float | None]
    kind: str
    title: str


def parallel_plot(
    axes: Sequence[PlotAxis], lines: Sequence[Polyline], *, label_text: str
) -> Markup:
    """Return parallel coordinates, an axis each, lines drawn in the order given."""
    left = 66.0
    gap = max(64.0, min(300.0, 980.0 / max(1, len(axes) - 1)))
    is_slanted = gap < 110
    if is_slanted:
        gap = max(64.0, 900.0 / (len(axes) - 1))  # the last name needs room to the right
    top = 118.0 if is_slanted else 46.0
    floor = top + 240
    width = left * 2 + gap * (len(axes) - 1) + (70 if is_slanted else 0)

    def points(course: Polyline) -> list[tuple[float, float]]:
        return [
            (left + gap * number, floor - share * (floor - top))
            for number, share in enumerate(course.positions)
            if share is not None
        ]

    parts = []
    for number, axis in enumerate(axes):
        at = left + gap * number
        parts.append(line(at, top, at, floor, "axis"))
        name = shortened(axis.name, 24)
        if is_slanted:
            turned = f"translate({pixels(at)} {pixels(top - 22)}) rotate(-40)"
            parts.append(label(0, 0, name, look="strong", transform=turned))
        else:
            parts.append(label(at, top - 24, name, anchor="middle", look="strong"))
        most = 9 if is_slanted else 16
        parts.append(label(at, top - 8, shortened(axis.top, most), anchor="middle"))
        parts.append(label(at, floor + 16, shortened(axis.bottom, most), anchor="middle"))
    if len(lines) > MANY_POINTS:
        parts += _merged(lines, points)
    else:
        parts += [path(points(course), f"l l{course.kind}", course.title) for course in lines]
    height = floor + 26
    # One that would be too small to read keeps its size, and its frame scrolls.
    kept = "broad fixed" if width > 1120 else "broad"
    return svg(width, height, parts, label=label_text, look=kept)


def _merged(
    lines: Sequence[Polyline], points: Callable[[Polyline], list[tuple[float, float]]]
) -> list[Shape]:
    """Return one path for each run of lines of the same kind."""
    parts: list[Shape] = []
    steps: list[str] = []
    for number, course in enumerate(lines):
        ends = points(course)
        if ends:
            steps.append("M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in ends))
        following = lines[number + 1].kind if number + 1 < len(lines) else None
        if following != course.kind and steps:
            parts.append(strokes("".join(steps), f"l l{course.kind}"))
            steps = []
    return parts


def stacked_bar(shares: Sequence[float], *, label_text: str, width: float = 1100) -> Markup:
    """Return a bar of parts next to each other; the shares add up to 1 at most."""
    parts, at = [box(0, 3, width, 16, "track", 3)], 0.0
    for number, share in enumerate(shares):
        parts.append(box(at, 3, max(0.0, share * width - 1), 16, f"s{number % SHADES}"))
        at += share * width
    return svg(width, 22, parts, label=label_text)


def filled_bar(share: float, *, label_text: str, width: float = 320) -> Markup:
    """Return how much of something is used, 1 being all."""
    parts = [
        box(0, 3, width, 12, "track", 6),
        box(0, 3, max(3.0, min(1.0, share) * width), 12, "used", 6),
    ]
    return svg(width, 18, parts, label=label_text)
