"""A cheap model of one metric over the unit cube: what it will be, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

JITTER = 1e-10
_QUADRATIC = (0.02, 0.3)
_LOCAL = (0.01, 0.1, 0.5)
_LENGTHS = (0.4, 1.2)
_NOISE = (1e-6, 1e-3)


@lru_cache(maxsize=1)
def _settings() -> tuple[tuple[float, float, float, float], ...]:
    return tuple(product(_QUADRATIC, _LOCAL, _LENGTHS, _NOISE))


@dataclass(frozen=True)
class GoalModel:
    """A Gaussian process: a straight line first, a curve and local bends where data ask for it.

    Metrics of simulations are near-linear over a study's ranges with a mild curvature and
    small jumps from whole people; the prior says so, and the evidence picks its strengths
    from a small grid. It works from a single point on.

    Source:
        Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006: sections 2.2
        (prediction), 2.7 (linear basis) and 5.4.1 (marginal likelihood).
    """

    points: Array
    weights: Array
    inverse: Array
    mean: float
    scale: float
    setting: tuple[float, float, float, float]

    @classmethod
    def fit(cls, points: Array, values: Array) -> GoalModel:
        """Fit the model.

        Args:
            points: One row a trial, in the unit cube.
            values: The metric of each trial.
        """
        mean = float(values.mean())
        scale = float(values.std()) or 1.0
        normed = (values - mean) / scale
        best: tuple[float, GoalModel] | None = None
        for setting in _settings():
            covariance = _kernel(points, points, setting)
            covariance[np.diag_indices(len(points))] += setting[3] + JITTER
            try:
                factor = np.linalg.cholesky(covariance)
            except np.linalg.LinAlgError:
                continue
            inverse = np.linalg.inv(factor)
            weights = inverse.T @ (inverse @ normed)
            evidence = float(-0.5 * normed @ weights - np.log(np.diag(factor)).sum())
            if best is None or evidence > best[0]:
                best = evidence, cls(points, weights, inverse, mean, scale, setting)
        assert best is not None  # the noise keeps the last setting positive definite
        return best[1]

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation at some points, in the metric's unit."""
        cross = _kernel(points, self.points, self.setting)
        mean = self.mean + self.scale * (cross @ self.weights)
        solved = cross @ self.inverse.T
        own = _own_variance(points, self.setting)
        variance = np.maximum(own - np.einsum("ij,ij->i", solved, solved), 1e-12)
        return mean, self.scale * np.sqrt(variance)


def _kernel(left: Array, right: Array, setting: tuple[float, float, float, float]) -> Array:
    quadratic, local, length, _ = setting
    inner = (left - 0.5) @ (right - 0.5).T
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * left @ right.T
    distance = np.sqrt(np.maximum(squares, 0.0) * 5) / length
    matern = (1 + distance + distance**2 / 3) * np.exp(-distance)
    kernel: Array = 1.0 + 4.0 * inner + quadratic * (4.0 * inner) ** 2 + local * matern
    return kernel


def _own_variance(points: Array, setting: tuple[float, float, float, float]) -> Array:
    inner = ((points - 0.5) ** 2).sum(1)
    own: Array = 1.0 + 4.0 * inner + setting[0] * (4.0 * inner) ** 2 + setting[1]
    return own
