"""A model of the metric vector: what is believed about every metric after some evaluations. Pure.

Each metric is a Gaussian process whose kernel says what simulations look like: a linear part
with a wide prior, a quadratic part (curvature and interactions), a smooth remainder at two
lengths, and small jumps (counts, order statistics) as noise. How strong each part is, and
whether the metric or its logarithm is modelled, is weighed by evidence. All parts are features,
so the mean and every posterior draw is one cheap function with an exact derivative.

Source:
    C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning" (2006),
    ch. 2.7 (explicit basis) and 5.4 (evidence). Random features of the Matern-5/2 kernel:
    A. Rahimi and B. Recht, NeurIPS 2007. Draws by conditioning prior draws on the data:
    J. T. Wilson et al., "Efficiently sampling functions from Gaussian process posteriors",
    ICML 2020.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CONSTANT_VARIANCE = 4.0
QUADRATIC_VARIANCES = (0.003, 0.03, 0.3)
SMOOTH_VARIANCES = (1e-4, 3e-3, 0.1)
ROUGH_VARIANCES = (1e-7, 1e-5, 1e-3)
NOISE_SHARE = 0.2
"""Variance of jumps that not even the next point shares, relative to the rough part."""
SHORT_SHARE = 0.1
"""Variance of the remainder's short part, relative to its long one."""
LENGTHS = (2.5, 0.8, 0.2)
"""Lengths of the remainder's parts and of the rough part; a range is 2 wide."""
FEATURES_PER_LENGTH = 64
SCALE_SHAPE, SCALE_RATE = 1.0, 0.3
"""Inverse-gamma prior of each metric's overall variance, standardised metrics."""
LOG_RATIO = 1.02
"""Metrics whose values are closer together than this are the same in the logarithm."""
MAX_EXPONENT = 300.0


@dataclass(frozen=True)
class Basis:
    """The features: constant, linear, quadratic, and random waves of two lengths.

    Attributes:
        width: Coordinates of an encoded point.
        frequencies: Of the waves, shape (waves, width).
        phases: Of the waves, in radians.
    """

    width: int
    frequencies: Array
    phases: Array

    @classmethod
    def of(cls, width: int, random: np.random.Generator) -> Basis:
        """Return a basis with random waves."""
        parts = []
        for length in LENGTHS:
            normal = random.standard_normal((FEATURES_PER_LENGTH, width))
            chi = random.chisquare(5.0, size=(FEATURES_PER_LENGTH, 1))
            parts.append(normal / np.sqrt(chi / 5.0) / length)
        frequencies = np.concatenate(parts)
        return cls(width, frequencies, random.random(len(frequencies)) * 2.0 * np.pi)

    @cached_property
    def pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The two coordinates of each quadratic feature."""
        return np.triu_indices(self.width)

    @cached_property
    def parts(self) -> tuple[slice, slice, slice]:
        """Where linear, quadratic and wave features stand."""
        first = 1 + self.width
        second = first + len(self.pairs[0])
        return slice(1, first), slice(first, second), slice(second, self.size)

    @property
    def size(self) -> int:
        """Number of features."""
        return 1 + self.width + len(self.pairs[0]) + len(self.phases)

    @cached_property
    def _factors(self) -> Array:
        """Weight of each quadratic feature: (x.z)^2 counts mixed pairs twice."""
        left, right = self.pairs
        factors = np.where(left == right, 1.0, np.sqrt(2.0))
        return np.asarray(factors / np.sqrt(max(self.width / 3.0, 1.0)))

    def features(self, points: Array) -> Array:
        """Return the features of encoded points, shape (points, size)."""
        left, right = self.pairs
        found = np.empty((len(points), self.size))
        linear, quadratic, waves = self.parts
        found[:, 0] = 1.0
        found[:, linear] = points
        found[:, quadratic] = points[:, left] * points[:, right] * self._factors
        angles = points @ self.frequencies.T + self.phases
        found[:, waves] = np.cos(angles) * np.sqrt(2.0 / FEATURES_PER_LENGTH)
        return found

    def variances(self, quadratic: float, smooth: float, rough: float) -> Array:
        """Return the prior variance of each feature's weight, linear ones having 1."""
        found = np.ones(self.size)
        found[0] = CONSTANT_VARIANCE
        _, second, waves = self.parts
        found[second] = quadratic
        found[waves] = smooth
        found[waves.start + FEATURES_PER_LENGTH :] *= SHORT_SHARE
        found[waves.start + 2 * FEATURES_PER_LENGTH :] = rough
        return found


@dataclass(frozen=True)
class Functions:
    """Functions from encoded points to metrics.

    Attributes:
        basis: Their features.
        weights: Shape (functions, features, metrics).
        centre: What standardising subtracted, shape (functions, metrics).
        spread: What standardising divided by.
        is_log: Whether the metric's logarithm is what the weights give.
        jump: Standard deviation of the noise, standardised.
    """

    basis: Basis
    weights: Array
    centre: Array
    spread: Array
    is_log: NDArray[np.bool_]
    jump: Array

    def __len__(self) -> int:
        return len(self.weights)

    def take(self, index: NDArray[np.intp]) -> Functions:
        """Return some of the functions, in that order; repeats are fine."""
        return Functions(
            self.basis,
            self.weights[index],
            self.centre[index],
            self.spread[index],
            self.is_log[index],
            self.jump[index],
        )

    def join(self, other: Functions) -> Functions:
        """Return these functions and others over the same basis."""
        return Functions(
            self.basis,
            np.concatenate([self.weights, other.weights]),
            np.concatenate([self.centre, other.centre]),
            np.concatenate([self.spread, other.spread]),
            np.concatenate([self.is_log, other.is_log]),
            np.concatenate([self.jump, other.jump]),
        )

    def values(self, points: Array, noise: Array | None = None) -> Array:
        """Return every function at every point, shape (functions, points, metrics).

        Args:
            points: Encoded.
            noise: Standard normal numbers of the result's shape, to add the jumps.
        """
        count, size, metrics = self.weights.shape
        flat = self.weights.transpose(1, 0, 2).reshape(size, count * metrics)
        latent = (self.basis.features(points) @ flat).reshape(len(points), count, metrics)
        latent = latent.transpose(1, 0, 2)
        if noise is not None:
            latent = latent + self.jump[:, None, :] * noise
        return self._shown(latent, self.centre[:, None], self.spread[:, None], self.is_log[:, None])

    def paired(self, points: Array) -> Array:
        """Return each function at the point of its own position, shape (points, metrics)."""
        features = self.basis.features(points)
        latent = np.matmul(features[:, None, :], self.weights)[:, 0, :]
        return self._shown(latent, self.centre, self.spread, self.is_log)

    def paired_slopes(self, points: Array, values: Array) -> Array:
        """Return derivatives of ``paired`` by coordinate, shape (points, metrics, width).

        The rough part is left out: where it goes up or down next is not worth following.
        """
        linear, _, waves = self.basis.parts
        waves = slice(waves.start, waves.start + 2 * FEATURES_PER_LENGTH)
        frequencies = self.basis.frequencies[: 2 * FEATURES_PER_LENGTH]
        phases = self.basis.phases[: 2 * FEATURES_PER_LENGTH]
        slope = self.weights[:, linear].transpose(0, 2, 1) + 2.0 * np.matmul(
            self._curvature, points[:, None, :, None]
        ).squeeze(-1)
        angles = points @ frequencies.T + phases
        falling = -np.sin(angles) * np.sqrt(2.0 / FEATURES_PER_LENGTH)
        weighted = falling[:, :, None] * self.weights[:, waves]
        slope = slope + np.matmul(weighted.transpose(0, 2, 1), frequencies)
        scale = self.spread * np.where(self.is_log, values, 1.0)
        return np.asarray(scale[:, :, None] * slope)

    @cached_property
    def _curvature(self) -> Array:
        """Symmetric matrices of the quadratic part, shape (functions, metrics, width, width)."""
        basis = self.basis
        left, right = basis.pairs
        count, _, metrics = self.weights.shape
        found = np.zeros((count, metrics, basis.width, basis.width))
        half = (self.weights[:, basis.parts[1]] * basis._factors[:, None]).transpose(0, 2, 1) / 2.0
        found[:, :, left, right] += half
        found[:, :, right, left] += half
        return found

    @staticmethod
    def _shown(latent: Array, centre: Array, spread: Array, is_log: NDArray[np.bool_]) -> Array:
        plain = centre + spread * latent
        if not is_log.any():
            return plain
        limited = np.clip(plain, -MAX_EXPONENT, MAX_EXPONENT)
        return np.where(is_log, np.exp(np.where(is_log, limited, 0.0)), plain)


class Surrogate:
    """What is believed about the metrics after some evaluations.

    Args:
        basis: Features.
        points: Evaluated candidates, encoded, shape (evaluations, width).
        metrics: What came out, finite, shape (evaluations, metrics).
    """

    def __init__(self, basis: Basis, points: Array, metrics: Array) -> None:
        self.basis = basis
        self._features = basis.features(points)
        self._combinations = list(
            itertools.product(QUADRATIC_VARIANCES, SMOOTH_VARIANCES, ROUGH_VARIANCES)
        )
        self._priors = np.array([basis.variances(*one) for one in self._combinations])
        self._noises = NOISE_SHARE * np.array([rough for _, _, rough in self._combinations])
        self._standardise(metrics)
        self._condition()
        self._weigh()

    def mean(self) -> Functions:
        """Return the mean of what is believed, as one function."""
        metrics = self._chosen.shape[0]
        weights = np.zeros((self.basis.size, metrics))
        jump = np.zeros(metrics)
        for metric, column in enumerate(self._chosen):
            share = self._share[:, column]
            for g in np.flatnonzero(share > 1e-3):
                back = self._features.T @ self._alpha[g][:, column]
                weights[:, metric] += share[g] * self._priors[g] * back
                jump[metric] += share[g] * self._rate[g, column] / self._shape * self._noises[g]
            weights[:, metric] /= share[share > 1e-3].sum()
        return self._functions(weights[None], self._chosen[None], np.sqrt(jump)[None])

    def draw(self, count: int, random: np.random.Generator) -> Functions:
        """Return random functions that agree with the evaluations, as probable as believed."""
        metrics = self._chosen.shape[0]
        size, n = self.basis.size, len(self._features)
        weights = np.empty((count, size, metrics))
        columns = np.empty((count, metrics), dtype=int)
        jump = np.empty((count, metrics))
        normal = random.standard_normal((metrics, count, size))
        noise = random.standard_normal((metrics, count, n))
        gamma = random.gamma(self._shape, size=(metrics, count))
        picks = random.random((metrics, count))
        for metric in range(metrics):
            options = self._options[metric]
            shares = np.array([share for share, _, _ in options])
            cumulative = np.cumsum(shares) / shares.sum()
            picked = np.minimum(np.searchsorted(cumulative, picks[metric]), len(options) - 1)
            for k in np.unique(picked):
                _, g, column = options[k]
                rows = np.flatnonzero(picked == k)
                scale = np.sqrt(self._rate[g, column] / gamma[metric, rows])[:, None]
                prior = normal[metric, rows] * np.sqrt(self._priors[g])
                off = np.sqrt(self._noises[g]) * noise[metric, rows]
                rest = self._latent[:, column] / scale - prior @ self._features.T - off
                alpha = rest @ self._inverse(int(g))
                weights[rows, :, metric] = scale * (
                    prior + self._priors[g] * (alpha @ self._features)
                )
                columns[rows, metric] = column
                jump[rows, metric] = scale[:, 0] * np.sqrt(self._noises[g])
        return self._functions(weights, columns, jump)

    def _functions(self, weights: Array, columns: NDArray[np.intp], jump: Array) -> Functions:
        return Functions(
            self.basis,
            weights,
            self._centres[columns],
            self._spreads[columns],
            self._logs[columns],
            jump,
        )

    def _standardise(self, metrics: Array) -> None:
        """Make the columns that compete: each metric, and its logarithm when it has one."""
        columns, owners, logs, jacobians = [], [], [], []
        for metric, values in enumerate(metrics.T):
            columns.append(values)
            owners.append(metric)
            logs.append(False)
            jacobians.append(0.0)
            if values.min() > 0 and values.max() > LOG_RATIO * values.min():
                columns.append(np.log(values))
                owners.append(metric)
                logs.append(True)
                jacobians.append(-float(np.log(values).sum()))
        raw = np.array(columns).T
        self._owners, self._logs = np.array(owners), np.array(logs)
        self._centres = raw.mean(axis=0)
        spread = raw.std(axis=0)
        floor = 1e-9 * np.maximum(np.abs(self._centres), 1e-3)
        self._spreads = np.where(spread > floor, spread, floor)
        self._latent = (raw - self._centres) / self._spreads
        self._jacobian = np.array(jacobians) - len(raw) * np.log(self._spreads)

    def _condition(self) -> None:
        n = len(self._features)
        smallest = self.basis.variances(0.0, 0.0, 0.0)
        _, quadratic, waves = self.basis.parts
        linear = (self._features * smallest) @ self._features.T
        second = self._features[:, quadratic] @ self._features[:, quadratic].T
        jumps = self._features[:, waves][:, 2 * FEATURES_PER_LENGTH :]
        share = self.basis.variances(0.0, 1.0, 0.0)[waves]
        rest = (self._features[:, waves] * share) @ self._features[:, waves].T
        q, s, r = np.array(self._combinations).T[:, :, None, None]
        white = (NOISE_SHARE * r + 1e-10) * np.eye(n)
        kernels = linear + q * second + s * rest + r * (jumps @ jumps.T) + white
        self._factor = np.linalg.cholesky(kernels)
        half = np.linalg.solve(self._factor, self._latent[None])
        self._alpha = np.linalg.solve(self._factor.transpose(0, 2, 1), half)
        self._shape = SCALE_SHAPE + n / 2.0
        self._rate = SCALE_RATE + 0.5 * (half**2).sum(axis=1)
        diagonal = np.diagonal(self._factor, axis1=1, axis2=2)
        determinant = np.log(diagonal).sum(axis=1)
        self._evidence = -determinant[:, None] - self._shape * np.log(self._rate) + self._jacobian

    def _weigh(self) -> None:
        """Turn evidence into shares: of the combinations within a column, and of columns."""
        best = self._evidence.max(axis=0)
        within = np.exp(self._evidence - best)
        self._share = within / within.sum(axis=0)
        total = best + np.log(within.sum(axis=0))
        metrics = int(self._owners.max()) + 1
        chosen, options = [], []
        for metric in range(metrics):
            columns = np.flatnonzero(self._owners == metric)
            chosen.append(columns[np.argmax(total[columns])])
            odds = np.exp(total[columns] - total[columns].max())
            found = [
                (float(odd * self._share[g, column]), int(g), int(column))
                for odd, column in zip(odds / odds.sum(), columns, strict=True)
                for g in range(len(self._combinations))
            ]
            options.append([one for one in found if one[0] > 5e-3])
        self._chosen = np.array(chosen)
        self._options = options
        self._inverses: dict[int, Array] = {}

    def _inverse(self, g: int) -> Array:
        if g not in self._inverses:
            half = np.linalg.inv(self._factor[g])
            self._inverses[g] = half.T @ half
        return self._inverses[g]
