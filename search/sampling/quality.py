"""How good the model of the metrics is, judged by what it did not see. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.sampling.axes import Box
from search.sampling.basis import Basis
from search.sampling.surrogate import Surrogate

Array = NDArray[np.float64]

MOST_LEFT_OUT = 24
"""Evaluations that are left out, one at a time; each costs a fit."""
BAD = 0.5
"""Error, as a share of what the metric varied by, from which a model counts as bad."""


@dataclass(frozen=True)
class ModelQuality:
    """How well one metric is foretold.

    Attributes:
        metric: Its name.
        error: Root mean squared error of evaluations that were left out, in the metric's unit.
        varied: Standard deviation of the metric over the evaluations.
        left_out: How many evaluations were left out, one at a time.
    """

    metric: str
    error: float
    varied: float
    left_out: int

    @property
    def is_bad(self) -> bool:
        """Whether the model says little: its error is a good part of what the metric varied by."""
        return self.error > BAD * self.varied


def leave_one_out(
    box: Box, points: Array, metrics: Array, names: tuple[str, ...], seed: int = 0
) -> tuple[ModelQuality, ...]:
    """Return how well each metric is foretold by the other evaluations; empty with fewer than 4.

    Args:
        box: The parameters.
        points: Evaluated candidates.
        metrics: What came out, finite, shape (evaluations, metrics).
        names: Of the metrics.
        seed: For the model's random features.
    """
    count = len(points)
    if count < 4:
        return ()
    basis = Basis.of(box.width, np.random.default_rng([seed, 1]))
    encoded = box.encode(points)
    left = np.unique(np.linspace(0, count - 1, min(count, MOST_LEFT_OUT)).astype(int))
    errors = np.empty((len(left), len(names)))
    for row, i in enumerate(left):
        kept = np.arange(count) != i
        model = Surrogate(basis, encoded[kept], metrics[kept], box.blocks)
        errors[row] = model.mean().values(encoded[[i]])[0, 0] - metrics[i]
    error = np.sqrt((errors**2).mean(axis=0))
    varied = metrics.std(axis=0)
    return tuple(
        ModelQuality(name, float(error[i]), float(varied[i]), len(left))
        for i, name in enumerate(names)
    )
