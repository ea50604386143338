"""The model of the metrics in the few numbers that a page needs to estimate on its own. Pure.

The page knows evaluated candidates and, for each metric, how strong each part of the model is; it
then conditions on the candidates itself. ``estimate`` is the same arithmetic, for tests and as the
page's reference.

Source:
    Waves of a Student spectrum with 5 degrees of freedom are draws of a Matern-5/2 kernel
    (C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", 2006, ch. 4.2),
    so that the features of ``Basis`` have this kernel in the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.sampling.axes import Box
from search.sampling.basis import CONSTANT_VARIANCE, LENGTHS, SHORT_SHARE, Basis
from search.sampling.surrogate import NOISE_SHARE, Strength, Surrogate

Array = NDArray[np.float64]

MOST_POINTS = 60
"""Candidates that the page conditions on, the nearest to the plan: a few milliseconds of work."""
REACH = 2.5
"""Standard deviations to either side of an estimate, as for effects that are not evaluated."""
NUGGET = 1e-8
"""What keeps the matrix of a kernel invertible where candidates are all but the same."""


@dataclass(frozen=True)
class Explorer:
    """What a page estimates from.

    Attributes:
        points: Evaluated candidates, encoded, shape (evaluations, width).
        metrics: What came out, shape (evaluations, metrics).
        kept: Position of each evaluation among those given.
        strengths: How each metric depends on what.
    """

    points: Array
    metrics: Array
    kept: tuple[int, ...]
    strengths: tuple[Strength, ...]

    def estimate(self, encoded: Array) -> tuple[Array, Array, Array]:
        """Return estimate, lower and upper end of each metric, shape (points, metrics) each."""
        columns = [
            _estimate(strength, self.points, self.metrics[:, i], encoded)
            for i, strength in enumerate(self.strengths)
        ]
        middle, low, high = (np.array(part).T for part in zip(*columns, strict=True))
        return middle, low, high


def explorer_of(box: Box, points: Array, metrics: Array, at: Array, seed: int = 0) -> Explorer:
    """Return what a page estimates from.

    Args:
        box: The parameters.
        points: Evaluated candidates, at least three.
        metrics: What came out, finite, shape (evaluations, metrics).
        at: The plan: candidates near to it are kept.
        seed: For the model's random features.
    """
    encoded = box.encode(points)
    distances = ((encoded - box.encode(at[None])) ** 2).sum(axis=1)
    kept = np.sort(np.argsort(distances, kind="stable")[:MOST_POINTS])
    basis = Basis.of(box.width, np.random.default_rng([seed, 1]))
    model = Surrogate(basis, encoded[kept], metrics[kept], box.blocks)
    strengths = tuple(model.strengths())
    return Explorer(encoded[kept], metrics[kept], tuple(map(int, kept)), strengths)


def _estimate(
    one: Strength, points: Array, values: Array, encoded: Array
) -> tuple[Array, Array, Array]:
    left, right = points[:, one.coordinates], encoded[:, one.coordinates]
    latent = ((np.log(values) if one.is_log else values) - one.centre) / one.spread
    count = len(points)
    noise = NOISE_SHARE * one.rough
    matrix = kernel(one, left, left) + (noise + NUGGET) * np.eye(count)
    factor = np.linalg.cholesky(matrix)
    half = np.linalg.solve(factor, latent)
    across = np.linalg.solve(factor, kernel(one, left, right))
    mean = across.T @ half
    own = np.array([float(kernel(one, row[None], row[None])[0, 0]) for row in right])
    scale = (1.0 + half @ half) / (1.0 + count)
    deviation = np.sqrt(np.maximum(scale * (own + noise - (across**2).sum(axis=0)), 0.0))
    ends = [mean, mean - REACH * deviation, mean + REACH * deviation]
    raw = [end * one.spread + one.centre for end in ends]
    middle, low, high = (np.exp(end) if one.is_log else end for end in raw)
    return middle, low, high


def kernel(one: Strength, left: Array, right: Array) -> Array:
    """Return the covariance of a metric between encoded points, in its own coordinates."""
    product = left @ right.T
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None] - 2.0 * product
    distance = np.sqrt(np.maximum(squares, 0.0))
    long, short, rough = (_matern(distance / length) for length in LENGTHS)
    width = max(left.shape[1] / 3.0, 1.0)
    return np.asarray(
        CONSTANT_VARIANCE
        + product
        + one.quadratic * product**2 / width
        + one.smooth * (long + SHORT_SHARE * short)
        + one.rough * rough
    )


def _matern(distance: Array) -> Array:
    scaled = np.sqrt(5.0) * distance
    return np.asarray((1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled))


def quoted(numbers: Sequence[float] | Array) -> list[float]:
    """Return numbers short enough for a page: 12 digits."""
    return [float(f"{float(number):.12g}") for number in numbers]
