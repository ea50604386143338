"""Figures: numbers that are hard to draw still give a drawing."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.report.plots import (
    Course,
    Distance,
    PlotAxis,
    Point,
    Polyline,
    course_plot,
    distance_bar,
    parallel_plot,
    range_bar,
    stacked_bar,
)
from search.report.shapes import nice_ticks

numbers = st.floats(
    allow_nan=False, allow_infinity=False, width=64, min_value=-1e200, max_value=1e200
)


def numbers_of(figure: str) -> list[float]:
    """Return every coordinate of a figure, which must be well-formed."""
    found = []
    for element in ET.fromstring(figure).iter():
        for name in ("x", "y", "cx", "cy", "x1", "x2", "y1", "y2", "width", "height"):
            if name in element.attrib:
                found.append(float(element.attrib[name]))
    return found


@given(st.lists(st.one_of(st.none(), numbers), max_size=12), st.booleans())
def test_any_course_is_drawn_within_its_frame(values: list[float | None], has_band: bool) -> None:
    course = Course(
        points=[Point(n, value, f"<{n}>") for n, value in enumerate(values)],
        starts=[1],
        band=(-math.inf, 3.0) if has_band else None,
        goal=3.0 if has_band else None,
        best_so_far=[(n, value) for n, value in enumerate(values) if value is not None],
        tick_text=str,
    )
    assert all(-20 <= number <= 540 for number in numbers_of(course_plot(course, label_text="x")))


@given(st.one_of(st.none(), numbers), st.one_of(st.none(), numbers))
def test_any_distance_is_drawn_within_its_bar(current: float | None, best: float | None) -> None:
    for low, high in ((-1.0, 1.0), (-math.inf, 0.0), (-1.0, math.inf)):
        figure = distance_bar(Distance(low, high, current, best), label_text="distance")
        assert all(-1 <= number <= 151 for number in numbers_of(figure))


@given(numbers, numbers)
def test_ticks_are_few_and_within(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert len(ticks) <= 12
    margin = abs(high - low) * 1e-6
    assert low >= high or all(low - margin <= tick <= high + margin for tick in ticks)


@pytest.mark.parametrize("count", [1, 500])
def test_parallel_coordinates(count: int) -> None:
    axes = [PlotAxis(f"a<{n}", "1", "0") for n in range(3)]
    lines = [Polyline([0.0, None, n / count], str(n % 6), "t&") for n in range(count)]
    assert numbers_of(parallel_plot(axes, lines, label_text="x"))


def test_bars() -> None:
    assert numbers_of(range_bar(current=0.2, best=None, label_text="x"))
    assert numbers_of(stacked_bar([0.5, 0.25, 0.0], label_text="x"))
