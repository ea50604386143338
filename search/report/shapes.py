"""Figures as lists of shapes with their places; the template ``figure.svg.j2`` writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from search.report.render import figure

Place = float | int | str


@dataclass(frozen=True)
class Shape:
    """One element of a figure.

    Attributes:
        kind: ``line``, ``rect``, ``circle``, ``path``, ``polygon`` or ``text``.
        places: Its coordinates, in pixels, by the name of the attribute.
        look: Class of the page's style; None for the plain one.
        words: What a text says, what a tooltip says of another shape.
    """

    kind: str
    places: Mapping[str, str]
    look: str | None = None
    words: str = ""


def placed(**places: Place | None) -> dict[str, str]:
    """Return coordinates as text, to a tenth of a pixel; those that are None are left out.

    Example:
        >>> placed(x=1.0, y=2.345, text_anchor=None)
        {'x': '1', 'y': '2.3'}
    """
    return {
        name.replace("_", "-"): pixels(value) for name, value in places.items() if value is not None
    }


def pixels(value: Place) -> str:
    """Return a coordinate as short text.

    Example:
        >>> pixels(12.0), pixels(0.25)
        ('12', '0.2')
    """
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def svg(
    width: float, height: float, shapes: Sequence[Shape], *, label: str, look: str | None = None
) -> Markup:
    """Return a figure of a size in pixels; the label is what a screen reader says."""
    return figure(pixels(float(width)), pixels(float(height)), shapes, label, look)


def label(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    look: str | None = None,
    transform: str | None = None,
) -> Shape:
    """Return a text at a place."""
    places = placed(x=x, y=y, text_anchor=anchor, transform=transform)
    return Shape("text", places, look, words)


def line(x1: float, y1: float, x2: float, y2: float, look: str) -> Shape:
    """Return a straight line."""
    return Shape("line", placed(x1=x1, y1=y1, x2=x2, y2=y2), look)


def box(
    x: float, y: float, width: float, height: float, look: str, radius: float = 0, title: str = ""
) -> Shape:
    """Return a rectangle, nothing of it where it has no extent."""
    places = placed(x=x, y=y, width=max(0.0, width), height=max(0.0, height), rx=radius or None)
    return Shape("rect", places, look, title)


def dot(x: float, y: float, radius: float, look: str, title: str = "") -> Shape:
    """Return a round mark, with a tooltip when it has a title."""
    return Shape("circle", placed(cx=x, cy=y, r=radius), look, title)


def path(points: Iterable[tuple[float, float]], look: str, title: str = "") -> Shape:
    """Return a line through points."""
    steps = "L".join(f"{pixels(float(x))} {pixels(float(y))}" for x, y in points)
    return strokes(f"M{steps}" if steps else "", look, title)


def strokes(steps: str, look: str, title: str = "") -> Shape:
    """Return a path by its steps, in SVG's own words."""
    return Shape("path", {"d": steps}, look, title)


def polygon(points: Iterable[tuple[float, float]], look: str, title: str = "") -> Shape:
    """Return a filled outline."""
    corners = " ".join(f"{pixels(float(x))},{pixels(float(y))}" for x, y in points)
    return Shape("polygon", {"points": corners}, look, title)


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers within a range.

    Example:
        >>> nice_ticks(0, 10), nice_ticks(0.012, 0.031)
        ([0.0, 2.0, 4.0, 6.0, 8.0, 10.0], [0.015, 0.02, 0.025, 0.03])
    """
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return [low] if math.isfinite(low) else []
    raw = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 0.0
    if power == 0.0 or not math.isfinite(power):
        return [low]
    step = next(f * power for f in (1, 2, 2.5, 5, 10) if f * power >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    ticks = []
    for number in range(first, first + 2 * most + 2):
        if number * step > high + step * 1e-9:
            break
        ticks.append(float(f"{number * step:.12g}"))
    return ticks


def shortened(text: str, most: int) -> str:
    """Return text of at most that many letters."""
    return text if len(text) <= most else text[: most - 1] + "…"
