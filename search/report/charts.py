"""The report's figures for a decision: pure functions from numbers to SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    polygon,
    shortened,
    svg,
)
from search.study.figures import short_change, short_number, short_with_unit, with_unit

LEFT, RIGHT, TOP, BOTTOM = 76.0, 14.0, 14.0, 26.0
BAR, GAP = 16.0, 30.0
MAX_BARS = 12
"""Bars of a tornado or walk that are drawn; of more, the largest."""


def axis_text(number: float, unit: str | None) -> str:
    """Return a number at an axis, in people's units.

    Example:
        >>> axis_text(1_250_000, "USD"), axis_text(0.035, "fraction"), axis_text(12.5, None)
        ('1.25 m', '3.5 %', '12.5')
    """
    return with_unit(number, unit) if unit == "fraction" else short_number(number)


@dataclass(frozen=True)
class Line:
    """A plan's path over the repetitions of a metric.

    Attributes:
        name: Whose.
        values: At each place; None where unknown.
        look: Class of the page's style.
    """

    name: str
    values: Sequence[float | None]
    look: str


def path_chart(
    places: Sequence[str],
    lines: Sequence[Line],
    bands: Sequence[tuple[float, float] | None],
    *,
    unit: str | None,
    label_text: str,
    width: float = 520,
    height: float = 220,
) -> Markup:
    """Return paths over years, levels or the like, with what the target accepts at each place.

    Args:
        places: Text of each repetition.
        lines: Paths, drawn in order.
        bands: What is accepted at each place, ends may be infinite; None without a target.
        unit: Of the metric.
        label_text: For screen readers.
        width: In pixels.
        height: In pixels.
    """
    shown = [v for course in lines for v in course.values if v is not None and math.isfinite(v)]
    shown += [end for band in bands if band for end in band if math.isfinite(end)]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    pad = (high - low) * 0.1 or abs(high) * 0.05 or 1.0
    low, high = low - pad, high + pad
    step = (width - LEFT - RIGHT) / max(1, len(places))
    floor = height - BOTTOM

    def x(place: int) -> float:
        return LEFT + (place + 0.5) * step

    def y(value: float) -> float:
        inside = max(low, min(high, value))
        return TOP + (high - inside) / (high - low) * (floor - TOP)

    shapes: list[Shape] = []
    for place, band in enumerate(bands):
        if band is not None:
            above, below = y(band[1]), y(band[0])
            half = step * 0.36
            shapes.append(box(x(place) - half, above, 2 * half, max(2.0, below - above), "band", 2))
    for tick in nice_ticks(low, high, 4):
        shapes.append(line(LEFT, y(tick), width - RIGHT, y(tick), "axis"))
        shapes.append(label(LEFT - 6, y(tick) + 4, axis_text(tick, unit), anchor="end"))
    every = math.ceil(len(places) / 12)
    for place, text in enumerate(places):
        if place % every == 0:
            shapes.append(label(x(place), height - 8, text[:14], anchor="middle"))
    for course in lines:
        points = [(x(i), y(v)) for i, v in enumerate(course.values) if v is not None]
        shapes.append(path(points, f"l {course.look}"))
        for i, value in enumerate(course.values):
            if value is not None:
                title = f"{course.name}, {places[i]}: {short_with_unit(value, unit)}"
                shapes.append(dot(x(i), y(value), 3.5, f"p {course.look}", title))
    return svg(width, height, shapes, label=label_text)


def bars_chart(
    places: Sequence[str],
    lines: Sequence[Line],
    *,
    unit: str | None,
    label_text: str,
    width: float = 520,
    height: float = 220,
) -> Markup:
    """Return values side by side at each place, as bars from 0."""
    shown = [v for course in lines for v in course.values if v is not None and math.isfinite(v)]
    low, high = min([0.0, *shown]), max([0.0, *shown])
    high = high if high > low else low + 1.0
    step = (width - LEFT - RIGHT) / max(1, len(places))
    floor = height - BOTTOM
    wide = step * 0.8 / max(1, len(lines))

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (floor - TOP)

    shapes: list[Shape] = []
    for tick in nice_ticks(low, high, 4):
        shapes.append(line(LEFT, y(tick), width - RIGHT, y(tick), "axis"))
        shapes.append(label(LEFT - 6, y(tick) + 4, axis_text(tick, unit), anchor="end"))
    letters = max(3, int(step / 6.5))
    for place, text in enumerate(places):
        middle = LEFT + (place + 0.5) * step
        shapes.append(label(middle, height - 8, shortened(text, letters), anchor="middle"))
        for number, course in enumerate(lines):
            value = course.values[place]
            if value is None or not math.isfinite(value):
                continue
            left = LEFT + place * step + step * 0.1 + number * wide
            top, bottom = sorted((y(value), y(0.0)))
            title = f"{course.name}, {text}: {short_with_unit(value, unit)}"
            bar = box(left, top, max(1.0, wide - 1), max(1.0, bottom - top), f"b {course.look}", 1)
            shapes.append(Shape(bar.kind, bar.places, bar.look, title))
    return svg(width, height, shapes, label=label_text)


def walk_chart(
    start: float,
    steps: Sequence[tuple[str, float]],
    *,
    unit: str | None,
    names: tuple[str, str],
    label_text: str,
    width: float = 520,
) -> Markup:
    """Return a waterfall, downwards: from one value to another, a bar for each part of the way.

    Args:
        start: Where it begins.
        steps: Name and change of each part; the largest are drawn, the others as one.
        unit: Of the values.
        names: What the first and the last value are.
        label_text: For screen readers.
        width: In pixels.
    """
    steps = _few(steps)
    levels = [start]
    for _, change in steps:
        levels.append(levels[-1] + change)
    low, high = min(levels), max(levels)
    pad = (high - low) * 0.25 or abs(high) * 0.01 or 1.0
    low, high = low - pad, high + pad
    left, right = 170.0, 96.0

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (width - left - right)

    rows: list[tuple[str, float, float, str, str]] = [
        (names[0], low, start, "total", short_with_unit(start, unit))
    ]
    for number, (name, change) in enumerate(steps):
        look = "more" if change > 0 else "less"
        text = short_change(change, unit)
        rows.append((name, levels[number], levels[number + 1], look, text))
    rows.append((names[1], low, levels[-1], "total", short_with_unit(levels[-1], unit)))
    shapes: list[Shape] = []
    for number, (name, begin, end, look, text) in enumerate(rows):
        top = 6 + number * GAP
        a, b = sorted((x(begin), x(end)))
        is_total = look == "total"
        shapes.append(
            label(
                left - 8,
                top + 13,
                shortened(name, 26),
                anchor="end",
                look="strong" if is_total else None,
            )
        )
        shapes.append(box(a, top, max(1.5, b - a), BAR, look, 2, f"{name}: {text}"))
        shapes.append(label(b + 6, top + 13, text, look="strong" if is_total else None))
        if number + 1 < len(rows):
            shapes.append(line(x(end), top + BAR, x(end), top + GAP, "link"))
    return svg(width, 6 + len(rows) * GAP, shapes, label=label_text)


def _few(steps: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    if len(steps) <= MAX_BARS:
        return list(steps)
    rest = steps[MAX_BARS - 1 :]
    other = (f"{len(rest)} others", math.fsum(change for _, change in rest))
    return [*steps[: MAX_BARS - 1], other]


@dataclass(frozen=True)
class Bar:
    """One bar of a tornado.

    Attributes:
        name: Of the parameter.
        value: Its effect; None where it is not known.
        low: Where the interval of the effect begins; None without one.
        high: Where it ends.
        note: What the parameter does for it.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    note: str


def tornado_chart(
    bars: Sequence[Bar], *, unit: str | None, label_text: str, width: float = 520
) -> Markup:
    """Return effects as bars from 0, the largest first, with their intervals."""
    bars = bars[:MAX_BARS]
    known = [bar for bar in bars if bar.value is not None]
    ends = [v for bar in known for v in (bar.value, bar.low, bar.high) if v is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    high = high if high > low else low + 1.0
    left, right = 216.0, 104.0

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (width - left - right)

    middle = x(0.0)

    shapes: list[Shape] = []
    for number, bar in enumerate(bars):
        top = 6 + number * GAP
        shapes.append(
            label(left - 8, top + 8, shortened(bar.name, 30), anchor="end", look="strong")
        )
        shapes.append(label(left - 8, top + 20, bar.note, anchor="end"))
        if bar.value is None:
            shapes.append(label(middle + 6, top + 13, "not known"))
            continue
        a, b = sorted((x(0), x(bar.value)))
        text = short_change(bar.value, unit)
        look = "more" if bar.value > 0 else "less"
        shapes.append(box(a, top, max(1.5, b - a), BAR, look, 2, f"{bar.name}: {text}"))
        edge = max(x(bar.value), x(bar.high if bar.high is not None else bar.value), middle)
        if bar.low is not None and bar.high is not None:
            at = top + BAR / 2
            shapes.append(line(x(bar.low), at, x(bar.high), at, "whisker"))
        shapes.append(label(edge + 6, top + 13, text))
    bottom = 6 + len(bars) * GAP
    shapes.insert(0, line(middle, 2, middle, bottom - 8, "axis"))
    return svg(width, bottom, shapes, label=label_text)


def futures_chart(
    values: Sequence[tuple[float, bool, str]],
    band: tuple[float, float] | None,
    *,
    searched: Sequence[float] = (),
    unit: str | None,
    label_text: str,
    width: float = 520,
) -> Markup:
    """Return a metric in each future as a heap of dots, with what its target accepts.

    Args:
        values: The metric, whether it meets its target, and the tooltip of each future.
        band: What is accepted, ends may be infinite; None without a target.
        searched: The metric under the seeds that the search used.
        unit: Of the metric.
        label_text: For screen readers.
        width: In pixels.
    """
    shown = [value for value, _, _ in values] + list(searched)
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    for end in band or ():
        # A bound that is far away stays outside: what matters is where the futures lie.
        if math.isfinite(end) and abs(end - (low + high) / 2) <= 3 * (high - low):
            low, high = min(low, end), max(high, end)
    pad = (high - low) * 0.12 or abs(high) * 0.01 or 1.0
    low, high = low - pad, high + pad
    left, right, radius = 14.0, 14.0, 4.0
    bins: dict[int, int] = {}
    places: list[tuple[float, int, bool, str]] = []

    def x(value: float) -> float:
        return left + (max(low, min(high, value)) - low) / (high - low) * (width - left - right)

    for value, is_met, title in sorted(values):
        place = round(x(value) / (2 * radius))
        places.append((place * 2 * radius, bins.get(place, 0), is_met, title))
        bins[place] = bins.get(place, 0) + 1
    tallest = max(bins.values(), default=1)
    rise = min(2 * radius, 90.0 / tallest)
    floor = 16 + max(36.0, tallest * rise + radius)
    shapes: list[Shape] = []
    if band is not None and (math.isfinite(band[0]) or math.isfinite(band[1])):
        a, b = x(max(low, band[0])), x(min(high, band[1]))
        shapes.append(box(a, 8, max(2.0, b - a), floor - 8, "band", 2, "accepted"))
    shapes.append(line(left, floor, width - right, floor, "axis"))
    for tick in nice_ticks(low, high, 5):
        shapes.append(label(x(tick), floor + 16, axis_text(tick, unit), anchor="middle"))
    for at, above, is_met, title in places:
        look = "met" if is_met else "missed"
        shapes.append(dot(at, floor - radius - above * rise - 1, radius - 0.5, look, title))
    for value in searched:
        at = x(value)
        corners = [(at, floor - 2), (at - 5, floor + 6), (at + 5, floor + 6)]
        shapes.append(polygon(corners, "tuned", f"tuned on: {short_with_unit(value, unit)}"))
    return svg(width, floor + 24, shapes, label=label_text)


@dataclass(frozen=True)
class Track:
    """A parameter's range with where each plan stands on it.

    Attributes:
        name: Of the parameter.
        low: Text of its lower end.
        high: Text of its upper end.
        places: Between 0 and 1 for today, the plan and the alternatives; None where unknown.
        texts: The values there.
    """

    name: str
    low: str
    high: str
    places: Sequence[float | None]
    texts: Sequence[str]


def plans_chart(tracks: Sequence[Track], *, label_text: str, width: float = 760) -> Markup:
    """Return the plans on each parameter's range: today hollow, the plan full, others numbered."""
    left, right, gap = 250.0, 80.0, 34.0
    shapes: list[Shape] = []
    for number, track in enumerate(tracks):
        at = 18 + number * gap
        shapes.append(
            label(left - 72, at + 4, shortened(track.name, 26), anchor="end", look="strong")
        )
        shapes.append(label(left - 8, at + 4, shortened(track.low, 12), anchor="end"))
        shapes.append(label(width - right + 8, at + 4, shortened(track.high, 12)))
        shapes.append(box(left, at - 3, width - left - right, 6, "track", 3))
        order = [*range(2, len(track.places)), 0, 1]
        for side in order:
            share = track.places[side] if side < len(track.places) else None
            if share is None:
                continue
            x = left + share * (width - left - right)
            if side == 0:
                shapes.append(dot(x, at, 5, "hollow", f"today: {track.texts[side]}"))
            elif side == 1:
                shapes.append(dot(x, at, 6, "mark", f"plan: {track.texts[side]}"))
            else:
                title = f"alternative {side - 1}: {track.texts[side]}"
                shapes.append(dot(x, at - 9, 7, "other", title))
                words = str(side - 1)
                shapes.append(label(x, at - 5.5, words, anchor="middle", look="number"))
    return svg(width, 18 + len(tracks) * gap, shapes, label=label_text)
