"""Which candidates may be proposed, and which ones lie near a point. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.sampling.axes import Box
from search.sampling.step import Walls

Array = NDArray[np.float64]

BISECTIONS = 10
MAX_REPAIRS = 48
"""Solutions that are pulled back inside the constraints, at most; each costs a few checks."""


@dataclass(frozen=True)
class Region:
    """The candidates that may be proposed.

    Attributes:
        box: The parameters.
        is_allowed: Whether the constraints hold for a candidate; None without constraints.
        margins: Each constraint's margin, at most 0 where it holds; lets the model's step
            follow the constraint. None when only ``is_allowed`` is known.
    """

    box: Box
    is_allowed: Callable[[Mapping[str, Any]], bool] | None = None
    margins: Callable[[Mapping[str, Any]], Sequence[float]] | None = None

    @property
    def has_constraints(self) -> bool:
        """Whether some candidates of the box may not be proposed."""
        return self.is_allowed is not None or self.margins is not None

    def allows(self, point: Array) -> bool:
        """Return whether the constraints hold at (the candidate of) a point."""
        if not self.has_constraints:
            return True
        values = self.box.values(point)
        if self.is_allowed is not None and not self.is_allowed(values):
            return False
        return self.margins is None or all(margin <= 0 for margin in self.margins(values))

    def walls(self, points: Array) -> Walls | None:
        """Return the constraints' tangents at some points; exact for linear constraints."""
        if self.margins is None:
            return None
        normals, offsets = [], []
        for point in points:
            base = np.array(self._relaxed_margins(point))
            here = self.box.encode(point[None])[0, : len(self.box.numeric)]
            slopes = np.zeros((len(base), len(here)))
            for j, i in enumerate(self.box.numeric):
                if self.box.axes[i].low == self.box.axes[i].high:
                    continue
                by = 1e-4 if point[i] < 0.5 else -1e-4
                moved = point.copy()
                moved[i] += by
                slopes[:, j] = (np.array(self._relaxed_margins(moved)) - base) / (2.0 * by)
            length = np.linalg.norm(slopes, axis=1)
            for k in np.flatnonzero(np.isfinite(length) & (length > 1e-12) & (base < 1e300)):
                normals.append(slopes[k] / length[k])
                offsets.append((base[k] - slopes[k] @ here) / length[k])
        if not normals:
            return None
        rows = np.unique(np.round(np.column_stack([normals, offsets]), 9), axis=0)
        return Walls(rows[:, :-1], rows[:, -1])

    def pulled_inside(self, points: Array, anchor: Array) -> Array:
        """Return points with those outside the constraints moved towards an allowed one."""
        if not self.has_constraints:
            return points
        pulled = []
        repairs = 0
        for point in points:
            if self.allows(point):
                pulled.append(point)
                continue
            if repairs >= MAX_REPAIRS:
                continue
            repairs += 1
            inside, outside = 0.0, 1.0
            start = anchor.copy()
            start[self.box.categorical] = point[self.box.categorical]
            for _ in range(BISECTIONS):
                middle = (inside + outside) / 2.0
                if self.allows(self.box.snap((start + middle * (point - start))[None])[0]):
                    inside = middle
                else:
                    outside = middle
            pulled.append(self.box.snap((start + inside * (point - start))[None])[0])
        return np.array(pulled).reshape(-1, points.shape[1])

    def _relaxed_margins(self, point: Array) -> Sequence[float]:
        assert self.margins is not None
        values = self.box.values(point)
        for i in self.box.numeric:
            values[self.box.axes[i].name] = self.box.axes[i].number(float(point[i]))
        return self.margins(values)


def decode(box: Box, encoded: Array) -> Array:
    """Return the points of encoded ones, numbers not snapped to their grid."""
    points = np.zeros((len(encoded), len(box.axes)))
    numbers = len(box.numeric)
    points[:, box.numeric] = (encoded[:, :numbers] + 1.0) / 2.0
    at = numbers
    for i in box.categorical:
        count = len(box.axes[i].choices or ())
        points[:, i] = np.argmax(encoded[:, at : at + count], axis=1)
        at += count
    return points


def roundings(box: Box, points: Array, random: np.random.Generator) -> Array:
    """Return the points, each number with a grid rounded at random up or down."""
    moved = points.copy()
    jitter = random.random((len(points), len(box.numeric))) - 0.5
    moved[:, box.numeric] += jitter * box.unit_steps
    return box.snap(moved)


def neighbours(box: Box, point: Array, random: np.random.Generator, scale: float) -> Array:
    """Return points near a point: single steps, pairs of steps, small moves, other choices."""
    near = []
    steps = np.where(box.is_gridded, box.unit_steps, scale)
    for j, i in enumerate(box.numeric):
        for sign in (-1.0, 1.0):
            moved = point.copy()
            moved[i] += sign * steps[j]
            near.append(moved)
    for i in box.categorical:
        for choice in range(len(box.axes[i].choices or ())):
            moved = point.copy()
            moved[i] = choice
            near.append(moved)
    if len(box.numeric) > 1:
        count = 2 * len(box.numeric)
        moves = np.repeat(point[None], count, axis=0)
        for row in moves:
            pair = random.choice(len(box.numeric), size=2, replace=False)
            row[box.numeric[pair]] += random.choice((-1.0, 1.0), size=2) * steps[pair]
        near.extend(moves)
        moves = np.repeat(point[None], count, axis=0)
        moves[:, box.numeric] += random.standard_normal((count, len(box.numeric))) * np.maximum(
            scale, 0.6 * box.unit_steps * box.is_gridded
        )
        near.extend(moves)
    return box.snap(np.array(near))
