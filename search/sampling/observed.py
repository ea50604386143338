"""What was evaluated, and what tells candidates apart. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.sampling.axes import RESOLUTION

Array = NDArray[np.float64]
Key = bytes

_BLOCK = np.random.default_rng(20).standard_normal(1 << 16)
"""Normal numbers that candidates share out by their keys."""


@dataclass(frozen=True)
class Observed:
    """What was evaluated, in order of the trials.

    Attributes:
        points: Candidates that yielded metrics, shape (evaluations, parameters).
        metrics: What came out, finite, shape (evaluations, goals).
        failed: Candidates that failed.
    """

    points: Array
    metrics: Array
    failed: Array


def keys_of(points: Array) -> list[Key]:
    """Return, for each snapped point, what is equal for equal ones."""
    return [row.tobytes() for row in _whole(points)]


def key_of(point: Array) -> Key:
    """Return the key of one point."""
    return _whole(point).tobytes()


def _whole(points: Array) -> NDArray[np.int64]:
    return np.rint(np.asarray(points) * RESOLUTION).astype(np.int64)


def jumps_of(points: Array, worlds: int, salt: int) -> Array:
    """Return normal numbers that belong to the points, shape (worlds, points).

    A point's numbers are the same whenever they are asked for with the same salt.
    """
    rows = _whole(points).astype(np.uint64)
    mixing = [(2 * i + 1) * 0x9E3779B97F4A7C15 % 2**64 for i in range(points.shape[1] + 1)]
    mixed = (rows * np.array(mixing[1:], dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
    mixed += np.uint64(mixing[0] * (salt + 1) % 2**64)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    start = (mixed >> np.uint64(32)) % np.uint64(len(_BLOCK))
    index = start.astype(int)[None, :] + np.arange(worlds)[:, None]
    return np.asarray(_BLOCK[index % len(_BLOCK)])
