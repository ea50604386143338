"""Space-filling points: where to look before anything is known. Pure.

Source:
    The additive recurrence on the generalised golden ratio: Martin Roberts, "The unreasonable
    effectiveness of quasirandom sequences" (2018). The choice among its points by distance is
    the maximin idea of Johnson, Moore and Ylvisaker, "Minimax and maximin distance designs",
    J. Statistical Planning and Inference 26 (1990).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.sampling.axes import Box

Array = NDArray[np.float64]

MARGIN = 0.08
"""Share of each range left out at both ends: effects are told apart without the extremes."""
CANDIDATES = 256


def sequence(count: int, dimensions: int, shift: Array) -> Array:
    """Return points of a low-discrepancy sequence in the unit cube.

    Args:
        count: Points.
        dimensions: Coordinates of each.
        shift: Where the sequence starts, one number per coordinate.
    """
    ratio = 2.0
    for _ in range(64):
        ratio = (1.0 + ratio) ** (1.0 / (dimensions + 1))
    steps = ratio ** -np.arange(1.0, dimensions + 1.0)
    return np.asarray((shift + np.arange(1, count + 1)[:, None] * steps) % 1.0)


def spread_points(box: Box, random: np.random.Generator, count: int = CANDIDATES) -> Array:
    """Return points all over the box, on its grid, that may serve as a design.

    Args:
        box: The space.
        random: Decides where the sequence starts.
        count: Points.
    """
    points = sequence(count, len(box.axes), random.random(len(box.axes)))
    for i in box.categorical:
        choices = len(box.axes[i].choices or ())
        points[:, i] = np.minimum(np.floor(points[:, i] * choices), choices - 1)
    columns = box.numeric
    points[:, columns] = MARGIN + (1.0 - 2.0 * MARGIN) * points[:, columns]
    return box.snap(points)


def farthest(box: Box, taken: Array, candidates: Array) -> NDArray[np.intp]:
    """Return positions of candidates, those that tell most beside the taken points first.

    The distance of encoded points decides; equal ones keep their order.
    """
    if len(taken) == 0:
        return np.arange(len(candidates))
    here = box.encode(candidates)
    there = box.encode(taken)
    squared = ((here[:, None, :] - there[None, :, :]) ** 2).sum(axis=-1)
    return np.argsort(-np.round(squared.min(axis=1), 12), kind="stable")
