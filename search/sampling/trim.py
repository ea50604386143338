"""Putting a near miss right: one or two parameters move, everything else is held. Pure.

Counts and medians jump from candidate to candidate, by more than a narrow tolerance, and no model
foresees by how much. But jumps belong to what makes them (who is hired, who leaves): as long as
that is held they stay as they were, and the other parameters do what the model says. Which ones
make jumps is not known beforehand, so moving few is the best guess; an evaluation that shows
otherwise rules its parameters out for that near miss.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.sampling.aims import Aims
from search.sampling.axes import Box
from search.sampling.functions import Functions
from search.sampling.pool import decode
from search.sampling.step import solve

Array = NDArray[np.float64]

NEAR_MISSES = 4
"""Evaluations, the best ones, that are put right."""
NEAR = 40.0
"""Tolerances by which each target of a near miss is missed at most."""
REFUTED = 1.0
"""Error, in tolerances, of what moving some parameters was to do that rules them out."""
MOST_PAIRS = 66
"""Pairs of parameters that are tried: all of 12 parameters, the first ones of more."""


@dataclass(frozen=True)
class Anchored:
    """Functions moved so that each passes through an evaluation.

    Attributes:
        functions: One for each start.
        offset: What is added, shape (starts, metrics).
    """

    functions: Functions
    offset: Array

    def paired(self, points: Array) -> Array:
        """Return each function at the point of its own position, shape (points, metrics)."""
        return self.functions.paired(points) + self.offset

    def paired_slopes(self, points: Array, values: Array) -> Array:
        """Return derivatives of ``paired`` by coordinate, shape (points, metrics, width)."""
        return self.functions.paired_slopes(points, values - self.offset)


def trims(box: Box, aims: Aims, points: Array, metrics: Array, mean: Functions) -> Array:
    """Return candidates that put near misses right, the nearest and those that move least first.

    Args:
        box: The parameters.
        aims: The goals.
        points: Evaluated candidates.
        metrics: What came out.
        mean: The model of the metrics, one function.
    """
    losses = aims.loss(metrics)
    excess = np.abs(aims.excess(metrics)).max(axis=1)
    order = [i for i in np.argsort(losses, kind="stable")[:NEAR_MISSES] if 0 < excess[i] <= NEAR]
    movable = [j for j, i in enumerate(box.numeric) if box.axes[i].low < box.axes[i].high]
    pairs = list(itertools.combinations(movable, 2))[:MOST_PAIRS]
    subsets = [(j,) for j in movable] + pairs
    tries = [
        (i, subset)
        for i in order
        for subset in subsets
        if not _is_refuted(box, aims, points, metrics, mean, i, subset)
    ]
    if not tries:
        return np.empty((0, len(box.axes)))
    index = np.array([i for i, _ in tries])
    starts = box.encode(points[index])
    free = np.zeros(starts.shape, dtype=bool)
    for row, (_, subset) in enumerate(tries):
        free[row, list(subset)] = True
    functions = mean.take(np.zeros(len(tries), dtype=int))
    anchored = Anchored(functions, metrics[index] - functions.paired(starts))
    solved = solve(anchored, aims, starts, free=free)
    trimmed = box.snap(decode(box, solved))
    if box.is_gridded.any() and not box.is_gridded.all():
        loose = np.zeros(box.width, dtype=bool)
        loose[: len(box.numeric)] = ~box.is_gridded
        again = solve(anchored, aims, box.encode(trimmed), free=free & loose, iterations=5)
        trimmed = box.snap(decode(box, again))
    encoded = box.encode(trimmed)
    met = aims.loss(anchored.paired(encoded)) == 0
    moved = np.abs(encoded - starts)
    cost = (moved > 1e-9).sum(axis=1) + 0.1 * moved.sum(axis=1)
    cost += 0.5 * np.array([order.index(i) for i, _ in tries])
    ranked = [row for row in np.argsort(cost, kind="stable") if met[row]]
    return np.asarray(trimmed[ranked])


def _is_refuted(
    box: Box,
    aims: Aims,
    points: Array,
    metrics: Array,
    mean: Functions,
    start: int,
    subset: tuple[int, ...],
) -> bool:
    """Return whether an evaluation that differs in these parameters alone came out otherwise."""
    held = np.ones(len(box.axes), dtype=bool)
    held[box.numeric[list(subset)]] = False
    same = (points[:, held] == points[start, held]).all(axis=1)
    same[start] = False
    if not same.any():
        return False
    encoded = box.encode(points[np.append(np.flatnonzero(same), start)])
    believed = mean.values(encoded)[0]
    off = (believed[:-1] - believed[-1]) - (metrics[same] - metrics[start])
    unit = np.minimum(aims.low_unit, aims.high_unit)
    return bool((np.abs(off[:, aims.direction == 0]) / unit[aims.direction == 0] > REFUTED).any())
