"""Functions from candidates to metrics: the model's mean, and its draws. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search.sampling.basis import Basis
from search.sampling.observed import jumps_of, keys_of

Array = NDArray[np.float64]

MAX_EXPONENT = 300.0


@dataclass(frozen=True)
class MetricFunctions:
    """Functions from encoded points to one metric.

    Attributes:
        basis: Their features.
        coordinates: What the metric depends on; the basis has these alone.
        weights: Of the features, shape (functions, features).
        centre: What standardising subtracted, shape (functions,).
        spread: What standardising divided by.
        is_log: Whether the metric's logarithm is what the weights give.
        jump: Standard deviation of the jumps, standardised.
        seen: Points whose jumps are known, their ``coordinates`` alone.
        seen_jumps: These jumps, standardised, shape (functions, seen).
    """

    basis: Basis
    coordinates: NDArray[np.intp]
    weights: Array
    centre: Array
    spread: Array
    is_log: NDArray[np.bool_]
    jump: Array
    seen: Array
    seen_jumps: Array

    def take(self, index: NDArray[np.intp]) -> MetricFunctions:
        """Return some of the functions, in that order; repeats are fine."""
        return replace(
            self,
            weights=self.weights[index],
            centre=self.centre[index],
            spread=self.spread[index],
            is_log=self.is_log[index],
            jump=self.jump[index],
            seen_jumps=self.seen_jumps[index],
        )

    def join(self, other: MetricFunctions) -> MetricFunctions:
        """Return these functions and others of the same metric."""
        return replace(
            self,
            weights=np.concatenate([self.weights, other.weights]),
            centre=np.concatenate([self.centre, other.centre]),
            spread=np.concatenate([self.spread, other.spread]),
            is_log=np.concatenate([self.is_log, other.is_log]),
            jump=np.concatenate([self.jump, other.jump]),
            seen_jumps=np.concatenate([self.seen_jumps, other.seen_jumps]),
        )

    def jumps(self, own: Array, salt: int) -> Array:
        """Return the jumps at points, shape (functions, points).

        Points that differ only in what the metric does not depend on share them, and where one
        of these was evaluated they are known.
        """
        jumped = self.jump[:, None] * jumps_of(own, len(self.jump), salt)
        position = self._positions
        for column, key in enumerate(keys_of(own)):
            known = position.get(key)
            if known is not None:
                jumped[:, column] = self.seen_jumps[:, known]
        return jumped

    @cached_property
    def _positions(self) -> dict[bytes, int]:
        return {key: i for i, key in enumerate(keys_of(self.seen))}

    def shown(self, latent: Array) -> Array:
        """Return the metric of what the weights give, shape (functions, ...) or (functions,)."""
        index = (slice(None),) + (None,) * (latent.ndim - 1)
        plain = self.centre[index] + self.spread[index] * latent
        if not self.is_log.any():
            return np.asarray(plain)
        limited = np.exp(np.clip(plain, -MAX_EXPONENT, MAX_EXPONENT))
        return np.where(self.is_log[index], limited, plain)


@dataclass(frozen=True)
class Functions:
    """Functions from encoded points to all metrics.

    Attributes:
        columns: One for each metric.
        width: Coordinates of an encoded point.
    """

    columns: Sequence[MetricFunctions]
    width: int

    def __len__(self) -> int:
        return len(self.columns[0].weights)

    def take(self, index: NDArray[np.intp]) -> Functions:
        """Return some of the functions, in that order; repeats are fine."""
        return Functions([column.take(index) for column in self.columns], self.width)

    def join(self, other: Functions) -> Functions:
        """Return these functions and others of the same model."""
        pairs = zip(self.columns, other.columns, strict=True)
        return Functions([pair.join(two) for pair, two in pairs], self.width)

    def values(self, points: Array, *, has_jumps: bool = False) -> Array:
        """Return every function at every point, shape (functions, points, metrics).

        Args:
            points: Encoded.
            has_jumps: Whether to add what no smooth function gives. A candidate's jump is the
                same whenever it is asked for, so it belongs to the candidate, not to the call.
        """
        drawn = np.empty((len(self), len(points), len(self.columns)))
        features = _Features(points)
        for metric, column in enumerate(self.columns):
            latent = column.weights @ features.of(column).T
            if has_jumps:
                latent += column.jumps(points[:, column.coordinates], metric)
            drawn[:, :, metric] = column.shown(latent)
        return drawn

    def paired(self, points: Array) -> Array:
        """Return each function at the point of its own position, shape (points, metrics)."""
        drawn = np.empty((len(points), len(self.columns)))
        features = _Features(points)
        for metric, column in enumerate(self.columns):
            drawn[:, metric] = column.shown((features.of(column) * column.weights).sum(axis=1))
        return drawn

    def paired_slopes(self, points: Array, values: Array) -> Array:
        """Return derivatives of ``paired`` by coordinate, shape (points, metrics, width).

        The rough part is left out: where it goes up or down next is not worth following.
        """
        drawn = np.zeros((len(points), len(self.columns), self.width))
        for metric, column in enumerate(self.columns):
            slopes = column.basis.smooth_slopes(points[:, column.coordinates], column.weights)
            scale = column.spread * np.where(column.is_log, values[:, metric], 1.0)
            drawn[:, metric, column.coordinates] = scale[:, None] * slopes
        return drawn


class _Features:
    """The features of some points, worked out once for metrics that depend on the same."""

    def __init__(self, points: Array) -> None:
        self._points = points
        self._found: dict[bytes, Array] = {}

    def of(self, column: MetricFunctions) -> Array:
        key = column.coordinates.tobytes()
        if key not in self._found:
            self._found[key] = column.basis.features(self._points[:, column.coordinates])
        return self._found[key]
