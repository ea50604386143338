"""What a candidate costs in a world: misses of the targets, of the objective, failures near by."""

from __future__ import annotations

import numpy as np

from search.sampling.aims import Aims
from search.sampling.axes import Array, Box
from search.sampling.observed import Observed

MISS_REGRET = 0.3
"""Regret of missing at all, beside the logarithm of the distance."""
FAILURE_REGRET = 1.0
"""Added for candidates next to one that failed."""
LATER_MISS_REGRET = 1.0
"""Added to a miss for the second candidate of a batch and later ones."""


class Regret:
    """Judges metrics that candidates may have by what is known already.

    Args:
        box: The parameters.
        aims: The goals.
        observed: Evaluations.
        incumbent: The best objective among evaluations that meet the targets; None without.
    """

    def __init__(self, box: Box, aims: Aims, observed: Observed, incumbent: float | None) -> None:
        self._box = box
        self._aims = aims
        self._observed = observed
        self._incumbent = incumbent

    def of_metrics(self, metrics: Array) -> Array:
        """Return regrets, shape (points, worlds), of metrics of shape (worlds, points, goals)."""
        aims = self._aims
        excess = np.sqrt(aims.loss(metrics) / max(float(aims.weight.mean()), 1e-12)).T
        missed = np.log1p(2.0 * excess) + MISS_REGRET * (excess > 0)
        if not aims.has_objective:
            return np.asarray(missed)
        objective = aims.objective(metrics).T
        seen = aims.objective(self._observed.metrics)
        spread = max(float(seen.std()), 1e-12)
        if self._incumbent is None:
            return np.asarray(missed + 0.1 * np.tanh((objective - seen.min()) / spread))
        gained = np.minimum(0.0, (objective - self._incumbent) / spread)
        return np.asarray(np.where(excess > 0, 0.02 * np.minimum(missed, 2.0), gained))

    def of_later(self, regrets: Array) -> Array:
        """Return regrets of later candidates of a batch: a hit counts, coming nearer does not."""
        if self._incumbent is not None:
            return regrets
        return regrets + LATER_MISS_REGRET * (regrets > 0.1)

    def of_failures(self, pool: Array) -> Array:
        """Return what is added to candidates whose nearest evaluation failed."""
        if not len(self._observed.failed):
            return np.zeros(len(pool))
        here = self._box.encode(pool)
        distances = [
            ((here[:, None] - self._box.encode(points)[None]) ** 2).sum(axis=-1).min(axis=1)
            for points in (self._observed.failed, self._observed.points)
        ]
        return np.where(distances[0] < distances[1], FAILURE_REGRET, 0.0)
