"""The features that metrics are made of: a line, curvature, and waves of three lengths. Pure.

Source:
    C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning" (2006),
    ch. 2.7 (explicit basis). Random features of the Matern-5/2 kernel: A. Rahimi and B. Recht,
    NeurIPS 2007.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CONSTANT_VARIANCE = 4.0
SHORT_SHARE = 0.1
"""Variance of the remainder's short part, relative to its long one."""
LENGTHS = (2.5, 0.8, 0.2)
"""Lengths of the remainder's parts and of the rough part; a range is 2 wide."""
FEATURES_PER_LENGTH = 64


@dataclass(frozen=True)
class Basis:
    """The features: constant, linear, quadratic, and random waves of three lengths.

    Attributes:
        frequencies: Of the waves, shape (waves, coordinates).
        phases: Of the waves, in radians.
    """

    frequencies: Array
    phases: Array

    @classmethod
    def of(cls, width: int, random: np.random.Generator) -> Basis:
        """Return a basis of some coordinates with random waves."""
        parts = []
        for length in LENGTHS:
            normal = random.standard_normal((FEATURES_PER_LENGTH, width))
            chi = random.chisquare(5.0, size=(FEATURES_PER_LENGTH, 1))
            parts.append(normal / np.sqrt(chi / 5.0) / length)
        frequencies = np.concatenate(parts)
        return cls(frequencies, random.random(len(frequencies)) * 2.0 * np.pi)

    def only(self, coordinates: NDArray[np.intp]) -> Basis:
        """Return the basis of what depends on some of the coordinates alone."""
        return Basis(self.frequencies[:, coordinates], self.phases)

    @property
    def width(self) -> int:
        """Number of coordinates."""
        return int(self.frequencies.shape[1])

    @property
    def size(self) -> int:
        """Number of features."""
        return 1 + self.width + len(self.pairs[0]) + len(self.phases)

    @cached_property
    def pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The two coordinates of each quadratic feature."""
        return np.triu_indices(self.width)

    @cached_property
    def parts(self) -> tuple[slice, slice, slice, slice]:
        """Where linear and quadratic features, smooth waves and rough waves stand."""
        first = 1 + self.width
        second = first + len(self.pairs[0])
        third = second + 2 * FEATURES_PER_LENGTH
        return slice(1, first), slice(first, second), slice(second, third), slice(third, self.size)

    @cached_property
    def factors(self) -> Array:
        """Weight of each quadratic feature: (x.z)^2 counts mixed pairs twice."""
        left, right = self.pairs
        factors = np.where(left == right, 1.0, np.sqrt(2.0))
        return np.asarray(factors / np.sqrt(max(self.width / 3.0, 1.0)))

    def features(self, points: Array) -> Array:
        """Return the features of encoded points, shape (points, size)."""
        left, right = self.pairs
        columns = np.empty((len(points), self.size))
        linear, quadratic, smooth, rough = self.parts
        columns[:, 0] = 1.0
        columns[:, linear] = points
        columns[:, quadratic] = points[:, left] * points[:, right] * self.factors
        angles = points @ self.frequencies.T + self.phases
        columns[:, smooth.start : rough.stop] = np.cos(angles) * np.sqrt(2.0 / FEATURES_PER_LENGTH)
        return columns

    def variances(self, quadratic: float, smooth: float, rough: float) -> Array:
        """Return the prior variance of each feature's weight, linear ones having 1."""
        prior = np.ones(self.size)
        prior[0] = CONSTANT_VARIANCE
        _, second, waves, jumps = self.parts
        prior[second] = quadratic
        prior[waves] = smooth
        prior[waves.start + FEATURES_PER_LENGTH : waves.stop] *= SHORT_SHARE
        prior[jumps] = rough
        return prior

    def smooth_slopes(self, points: Array, weights: Array) -> Array:
        """Return derivatives by coordinate, each point's by its own weights, without rough waves.

        Where the rough part goes up or down next is not worth following.

        Args:
            points: Encoded.
            weights: Of the features, shape (points, size).

        Returns:
            Shape (points, width).
        """
        linear, quadratic, smooth, _ = self.parts
        left, right = self.pairs
        curved = weights[:, quadratic] * self.factors
        count = smooth.stop - smooth.start
        falling = -np.sin(points @ self.frequencies[:count].T + self.phases[:count])
        falling *= weights[:, smooth] * np.sqrt(2.0 / FEATURES_PER_LENGTH)
        return np.asarray(
            weights[:, linear]
            + (curved * points[:, right]) @ (left[:, None] == np.arange(self.width))
            + (curved * points[:, left]) @ (right[:, None] == np.arange(self.width))
            + falling @ self.frequencies[:count]
        )
