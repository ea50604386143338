"""The search space as numbers: unit coordinates for choosing, features' inputs for modelling. Pure.

A point is a row of one number per parameter: a share of the range (0 to 1; of the logarithm's
range with ``is_log``) or the index of a choice. Encoded, a number becomes one coordinate in
[-1, 1] and a choice becomes one coordinate per alternative.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.study.stepped_range import grid_value, rounded

Array = NDArray[np.float64]

RESOLUTION = 1e9
"""Points of a free float's range that are told apart: few enough to survive rounding."""


@dataclass(frozen=True)
class Axis:
    """One parameter.

    Attributes:
        name: Of the parameter.
        low: Smallest value; 0 for choices.
        high: Largest value; the last index for choices.
        step: Distance of the grid's points; None when any value will do.
        is_integer: Whether values are whole numbers.
        is_log: Whether the range is even in the logarithm.
        choices: The alternatives; None for numbers.
    """

    name: str
    low: float
    high: float
    step: float | None = None
    is_integer: bool = False
    is_log: bool = False
    choices: tuple[Any, ...] | None = None

    @property
    def steps(self) -> int | None:
        """Steps from low to high; None for a free float."""
        return None if self.step is None else round((self.high - self.low) / self.step)

    @property
    def size(self) -> float:
        """How many values there are; infinite for a free float."""
        if self.low == self.high:
            return 1
        return math.inf if self.steps is None else self.steps + 1

    def unit(self, value: Any) -> float:
        """Return a value's coordinate; outside 0 to 1 when it is outside the range."""
        if self.choices is not None:
            return next(
                float(i) for i, choice in enumerate(self.choices) if _is_same(choice, value)
            )
        if self.low == self.high:
            return 0.0
        if self.is_log:
            span = math.log(self.high) - math.log(self.low)
            return (math.log(float(value)) - math.log(self.low)) / span
        return (float(value) - self.low) / (self.high - self.low)

    def number(self, unit: float) -> float:
        """Return the number at a coordinate, not rounded, outside the range as well."""
        if self.is_log:
            return float(self.low * (self.high / self.low) ** unit)
        return float(self.low + unit * (self.high - self.low))

    def value(self, unit: float) -> Any:
        """Return the parameter's value nearest to a coordinate, in its canonical form."""
        if self.choices is not None:
            return self.choices[min(max(round(unit), 0), len(self.choices) - 1)]
        number = self.number(min(1.0, max(0.0, unit)))
        if self.step is not None and self.steps is not None:
            index = min(self.steps, max(0, round((number - self.low) / self.step)))
            if self.is_integer:
                return int(self.low) + index * int(self.step)
            return grid_value(self.low, self.step, index)
        if self.low == self.high:
            return self.low
        return rounded(number, self.low, self.high, is_log=self.is_log)


@dataclass(frozen=True)
class Box:
    """The parameters of a study."""

    axes: tuple[Axis, ...]

    @cached_property
    def numeric(self) -> NDArray[np.intp]:
        """Columns of the numbers."""
        return np.array([i for i, axis in enumerate(self.axes) if axis.choices is None], dtype=int)

    @cached_property
    def categorical(self) -> NDArray[np.intp]:
        """Columns of the choices."""
        return np.array([i for i, axis in enumerate(self.axes) if axis.choices], dtype=int)

    @cached_property
    def width(self) -> int:
        """Coordinates of an encoded point."""
        return len(self.numeric) + sum(len(self.axes[i].choices or ()) for i in self.categorical)

    @cached_property
    def blocks(self) -> tuple[NDArray[np.intp], ...]:
        """The coordinates of each parameter when encoded, numbers first, then choices."""
        sizes = [1] * len(self.numeric)
        sizes += [len(self.axes[i].choices or ()) for i in self.categorical]
        return tuple(np.split(np.arange(self.width), np.cumsum(sizes)[:-1]))

    @cached_property
    def combinations(self) -> float:
        """How many points there are, constraints left aside."""
        return math.prod(axis.size for axis in self.axes)

    @cached_property
    def is_gridded(self) -> NDArray[np.bool_]:
        """Which of the numbers have a grid."""
        return np.array([self.axes[i].step is not None for i in self.numeric], dtype=bool)

    @cached_property
    def unit_steps(self) -> Array:
        """Of each number: one step of its grid as a share of the range, 0 without a grid."""
        in_units = []
        for i in self.numeric:
            steps = self.axes[i].steps
            in_units.append(0.0 if not steps else 1.0 / steps)
        return np.array(in_units)

    def point(self, values: Mapping[str, Any]) -> Array:
        """Return the coordinates of a candidate."""
        return np.array([axis.unit(values[axis.name]) for axis in self.axes])

    def values(self, point: Sequence[float] | Array) -> dict[str, Any]:
        """Return the candidate nearest to a point."""
        return {axis.name: axis.value(float(u)) for axis, u in zip(self.axes, point, strict=True)}

    def snap(self, points: Array) -> Array:
        """Return the points of the grid nearest to some points, inside the box."""
        top, steps = self._snapping
        snapped = np.clip(np.asarray(points, dtype=float), 0.0, top)
        fine = np.where(steps > 0, steps, RESOLUTION)
        snapped = np.rint(snapped * fine) / fine
        for i, axis in enumerate(self.axes):
            if axis.is_log and axis.step is not None and axis.low < axis.high:
                span = math.log(axis.high) - math.log(axis.low)
                number = np.exp(math.log(axis.low) + snapped[:, i] * span)
                number = axis.low + np.rint((number - axis.low) / axis.step) * axis.step
                snapped[:, i] = (np.log(number) - math.log(axis.low)) / span
        return np.asarray(snapped)

    @cached_property
    def _snapping(self) -> tuple[Array, Array]:
        """Of each parameter: its greatest coordinate, and its steps per unit (0 when free)."""
        top, steps = [], []
        for axis in self.axes:
            is_fixed = axis.low == axis.high
            top.append(axis.high if axis.choices is not None else float(not is_fixed))
            if axis.choices is not None:
                steps.append(1.0)
            else:
                steps.append(0.0 if axis.is_log or is_fixed else float(axis.steps or 0))
        return np.array(top), np.array(steps)

    def encode(self, points: Array) -> Array:
        """Return points as the model sees them: numbers first, then choices."""
        points = np.atleast_2d(points)
        parts = [2.0 * points[:, self.numeric] - 1.0]
        for i in self.categorical:
            count = len(self.axes[i].choices or ())
            hot = np.rint(points[:, i]).astype(int)[:, None] == np.arange(count)[None, :]
            parts.append(hot - 1.0 / count)
        return np.concatenate(parts, axis=1)

    def uniform(self, random: np.random.Generator, count: int, margin: float = 0.0) -> Array:
        """Return random points, numbers at least ``margin`` inside the range."""
        points = margin + (1.0 - 2.0 * margin) * random.random((count, len(self.axes)))
        for i in self.categorical:
            points[:, i] = random.integers(len(self.axes[i].choices or ()), size=count)
        return points


def _is_same(one: Any, other: Any) -> bool:
    """Compare so that True is not 1."""
    return type(one) is type(other) and bool(one == other) or one is other
