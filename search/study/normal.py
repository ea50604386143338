"""The normal distribution of several metrics at once. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from search.study.chance import NORMAL

POINTS = 251
"""Points of the integral over several metrics: its error is below 0.005."""


def box_probability(
    means: Sequence[float],
    covariance: Sequence[Sequence[float]],
    low: Sequence[float],
    high: Sequence[float],
) -> float:
    """Return the probability of a normal vector to lie in a box, 0 to 1.

    Source:
        A. Genz, "Numerical computation of multivariate normal probabilities", Journal of
        Computational and Graphical Statistics 1 (1992), with points of a Richtmyer lattice.
    """
    root = _cholesky(covariance)
    size = len(means)
    if size == 1:
        return _share(low[0] - means[0], high[0] - means[0], root[0][0])[1]
    steps = [math.sqrt(prime) % 1 for prime in _primes(size)]
    total = 0.0
    for point in range(1, POINTS + 1):
        drawn: list[float] = []
        product = 1.0
        for row in range(size):
            moved = means[row] + math.fsum(
                root[row][column] * drawn[column] for column in range(row)
            )
            below, inside = _share(low[row] - moved, high[row] - moved, root[row][row])
            product *= inside
            if product <= 0:
                break
            uniform = abs(2 * ((point * steps[row]) % 1) - 1)
            quantile = min(max(below + uniform * inside, 1e-12), 1 - 1e-12)
            drawn.append(NORMAL.inv_cdf(quantile))
        total += product
    return total / POINTS


def _share(low: float, high: float, deviation: float) -> tuple[float, float]:
    """Return the probability below an interval around 0, and in it."""
    if deviation <= 0:
        return 0.5, float(low <= 0 <= high)
    below = NORMAL.cdf(low / deviation) if math.isfinite(low) else 0.0
    above = NORMAL.cdf(high / deviation) if math.isfinite(high) else 1.0
    return below, max(0.0, above - below)


def _cholesky(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the lower root; what depends on earlier rows alone has 0 on its diagonal."""
    size = len(matrix)
    root = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i][j] - math.fsum(root[i][k] * root[j][k] for k in range(j))
            if i == j:
                root[i][i] = math.sqrt(rest) if rest > 1e-12 * matrix[i][i] else 0.0
            elif root[j][j] > 0:
                root[i][j] = rest / root[j][j]
    return root


def _primes(count: int) -> list[int]:
    primes: list[int] = []
    number = 2
    while len(primes) < count:
        if all(number % prime for prime in primes):
            primes.append(number)
        number += 1
    return primes
