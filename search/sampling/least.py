"""The linear program of the least change that brings linear metrics between limits. Pure.

Source:
    By the alternating direction method of multipliers: S. Boyd et al., "Distributed Optimization
    and Statistical Learning via the Alternating Direction Method of Multipliers" (2011), ch. 6.1
    and 5.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SWEEPS = 300
"""Iterations of one linear program."""


def least_l1(
    weights: Array, low: Array, high: Array, matrix: Array, least: Array, most: Array
) -> Array:
    """Return the change x of least weighted absolute size with least <= matrix x <= most.

    Args:
        weights: Of each coordinate.
        low: Least change of each coordinate, at most 0.
        high: Greatest change, at least 0.
        matrix: Rows of length 1.
        least: Least value of each row.
        most: Greatest value of each row.
    """
    stiffness = 10.0 * max(float(weights.mean()), 1e-6)
    inverse = np.linalg.inv(np.eye(len(weights)) + matrix.T @ matrix)
    own, rows = np.zeros(len(weights)), np.zeros(len(matrix))
    own_debt, rows_debt = np.zeros(len(weights)), np.zeros(len(matrix))
    for _ in range(SWEEPS):
        solution = inverse @ (own - own_debt + matrix.T @ (rows - rows_debt))
        wanted = solution + own_debt
        shrunk = np.sign(wanted) * np.maximum(0.0, np.abs(wanted) - weights / stiffness)
        own = np.clip(shrunk, low, high)
        reached = matrix @ solution
        rows = np.clip(reached + rows_debt, least, most)
        own_debt += solution - own
        rows_debt += reached - rows
    return own
