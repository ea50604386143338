"""A model of the metric vector: what is believed about every metric after some evaluations. Pure.

Each metric is a Gaussian process whose kernel says what simulations look like: a linear part
with a wide prior, a quadratic part (curvature and interactions), a smooth remainder at two
lengths, and small jumps (counts, order statistics) as noise. How strong each part is, and
whether the metric or its logarithm is modelled, is weighed by evidence. All parts are features,
so the mean and every posterior draw is one cheap function with an exact derivative.

A metric seldom depends on every parameter: no raise changes how many are promoted. What it does
not depend on is found by evidence as well and left out, so a count that was met stays met while
parameters that it does not depend on move, jumps included.

Source:
    C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning" (2006),
    ch. 2.7 (explicit basis) and 5.4 (evidence). Draws by conditioning prior draws on the data:
    J. T. Wilson et al., "Efficiently sampling functions from Gaussian process posteriors",
    ICML 2020. Leaving out what does not matter by comparing evidence, one at a time: D. J. C.
    MacKay, "Bayesian interpolation", Neural Computation 4 (1992).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.sampling.basis import CONSTANT_VARIANCE, Basis
from search.sampling.functions import Functions, MetricFunctions
from search.sampling.observed import keys_of

Array = NDArray[np.float64]

QUADRATIC_VARIANCES = (0.003, 0.03, 0.3)
SMOOTH_VARIANCES = (1e-4, 3e-3, 0.1)
ROUGH_VARIANCES = (1e-7, 1e-5, 1e-3, 3e-2)
STRENGTHS = np.array(
    list(itertools.product(QUADRATIC_VARIANCES, SMOOTH_VARIANCES, ROUGH_VARIANCES))
)
"""Variances of the quadratic, smooth and rough part that compete, a row each."""
NOISE_SHARE = 0.2
"""Variance of jumps that not even the next point shares, relative to the rough part."""
SCALE_SHAPE, SCALE_RATE = 1.0, 0.3
"""Inverse-gamma prior of each metric's overall variance, standardised metrics."""
LOG_RATIO = 1.02
"""Metrics whose values are closer together than this are the same in the logarithm."""
SPARE_EVALUATIONS = 3
"""Evaluations, beyond one a parameter, before a parameter is said not to matter to a metric."""
CLEAR_EVIDENCE = 1.5
"""Gain in the logarithm of a metric's probability for which a parameter is left out."""


@dataclass(frozen=True)
class Strength:
    """How one metric depends on what, by the most probable model.

    Attributes:
        coordinates: What it depends on.
        quadratic: Variance of its curvature.
        smooth: Variance of its smooth remainder.
        rough: Variance of its jumps.
        is_log: Whether the logarithm is modelled.
        centre: What standardising subtracted.
        spread: What standardising divided by.
    """

    coordinates: NDArray[np.intp]
    quadratic: float
    smooth: float
    rough: float
    is_log: bool
    centre: float
    spread: float


class Surrogate:
    """What is believed about the metrics after some evaluations.

    Args:
        basis: Features of all coordinates.
        points: Evaluated candidates, encoded, shape (evaluations, width).
        metrics: What came out, finite, shape (evaluations, metrics).
        blocks: The coordinates of each parameter; every coordinate is one when left out.
        blur: Standard deviation with which each metric counts, in its unit, shape of
            ``metrics``; exactly when left out.
    """

    def __init__(
        self,
        basis: Basis,
        points: Array,
        metrics: Array,
        blocks: Sequence[NDArray[np.intp]] | None = None,
        blur: Array | None = None,
    ) -> None:
        if blocks is None:
            blocks = [np.array([i]) for i in range(basis.width)]
        if blur is None:
            blur = np.zeros(metrics.shape)
        self._width = basis.width
        self._models = [
            _MetricModel(basis, points, column, blocks, own)
            for column, own in zip(metrics.T, blur.T, strict=True)
        ]

    def mean(self) -> Functions:
        """Return the mean of what is believed, as one function."""
        return Functions([model.mean() for model in self._models], self._width)

    def strengths(self) -> list[Strength]:
        """Return how each metric depends on what."""
        return [model.strength() for model in self._models]

    def draw(self, count: int, random: np.random.Generator) -> Functions:
        """Return random functions that agree with the evaluations, as probable as believed."""
        return Functions([model.draw(count, random) for model in self._models], self._width)


@dataclass(frozen=True)
class _Forms:
    """The forms of one metric that compete: itself and, when it has one, its logarithm.

    Attributes:
        latent: Standardised, shape (evaluations, forms).
        centres: What standardising subtracted.
        spreads: What standardising divided by.
        is_log: Which one is the logarithm.
        jacobian: What compares their evidence.
        blur: Standard deviation with which each evaluation counts, shape (evaluations,).
    """

    latent: Array
    centres: Array
    spreads: Array
    is_log: NDArray[np.bool_]
    jacobian: Array
    blur: Array

    @classmethod
    def of(cls, values: Array, blur: Array) -> _Forms:
        raw, jacobian = [values], [0.0]
        if values.min() > 0 and values.max() > LOG_RATIO * values.min():
            raw.append(np.log(values))
            jacobian.append(-float(np.log(values).sum()))
        columns = np.array(raw).T
        centres = columns.mean(axis=0)
        floor = 1e-9 * np.maximum(np.abs(centres), 1e-3)
        spreads = np.where(columns.std(axis=0) > floor, columns.std(axis=0), floor)
        return cls(
            (columns - centres) / spreads,
            centres,
            spreads,
            np.arange(len(raw)) == 1,
            np.array(jacobian) - len(values) * np.log(spreads),
            blur / spreads[0],
        )


class _Fit:
    """The evaluations of one metric seen by some strengths of the parts.

    Attributes:
        features: Of the evaluations.
        groups: Which evaluations are equal in all that matters, as the first one's position.
        strengths: Rows of quadratic, smooth and rough variance.
        evidence: Logarithm of the probability of what came out, shape (strengths, forms).
    """

    def __init__(self, basis: Basis, own: Array, forms: _Forms, strengths: Array) -> None:
        self.strengths = strengths
        self.features = basis.features(own)
        positions: dict[bytes, int] = {}
        self.groups = np.array([positions.setdefault(key, len(positions)) for key in keys_of(own)])
        linear, second, smooth, rough = basis.parts
        parts = [self.features[:, part] for part in (linear, second, smooth, rough)]
        unit = basis.variances(1.0, 1.0, 1.0)[smooth]
        same = (self.groups[:, None] == self.groups[None]).astype(float)
        q, s, r = strengths.T[:, :, None, None]
        kernels = (
            CONSTANT_VARIANCE
            + parts[0] @ parts[0].T
            + q * (parts[1] @ parts[1].T)
            + s * ((parts[2] * unit) @ parts[2].T)
            + r * (parts[3] @ parts[3].T + NOISE_SHARE * same)
            + np.diag(1e-10 + forms.blur**2)
        )
        self.factor = np.linalg.cholesky(kernels)
        half = np.linalg.solve(self.factor, forms.latent[None])
        self.alpha = np.linalg.solve(self.factor.transpose(0, 2, 1), half)
        self.shape = SCALE_SHAPE + len(own) / 2.0
        self.rate = SCALE_RATE + 0.5 * (half**2).sum(axis=1)
        determinant = np.log(np.diagonal(self.factor, axis1=1, axis2=2)).sum(axis=1)
        self.evidence = -determinant[:, None] - self.shape * np.log(self.rate) + forms.jacobian


class _MetricModel:
    """What is believed about one metric.

    Attributes:
        coordinates: What it depends on, as far as is known.
    """

    def __init__(
        self,
        basis: Basis,
        points: Array,
        values: Array,
        blocks: Sequence[NDArray[np.intp]],
        blur: Array,
    ) -> None:
        self._forms = _Forms.of(values, blur)
        fit = _Fit(basis, points, self._forms, STRENGTHS)
        self.coordinates = np.arange(basis.width)
        if len(points) >= len(blocks) + SPARE_EVALUATIONS:
            self.coordinates = _relevant(basis, points, self._forms, fit, blocks)
        self._basis = basis
        if len(self.coordinates) < basis.width:
            self._basis = basis.only(self.coordinates)
            fit = _Fit(self._basis, points[:, self.coordinates], self._forms, STRENGTHS)
        self._fit = fit
        first = [int(np.flatnonzero(fit.groups == g)[0]) for g in range(fit.groups.max() + 1)]
        self._seen = points[first][:, self.coordinates]
        self._priors = [self._basis.variances(*row) for row in STRENGTHS]
        share = np.exp(fit.evidence - fit.evidence.max())
        self._share = share / share.sum()
        self._inverses: dict[int, Array] = {}

    def mean(self) -> MetricFunctions:
        """Return the mean, of the more probable form."""
        fit = self._fit
        form = int(np.argmax(self._share.sum(axis=0)))
        share = self._share[:, form] / self._share[:, form].sum()
        weights = np.zeros(self._basis.size)
        jump = 0.0
        seen = np.zeros(len(self._seen))
        for g in np.flatnonzero(share > 1e-3):
            noise = NOISE_SHARE * STRENGTHS[g, 2]
            alpha = fit.alpha[g][:, form]
            weights += share[g] * self._priors[g] * (fit.features.T @ alpha)
            seen += share[g] * noise * np.bincount(fit.groups, alpha, len(seen))
            jump += share[g] * fit.rate[g, form] / fit.shape * noise
        kept = share[share > 1e-3].sum()
        return self._column(
            weights[None] / kept, np.array([form]), np.sqrt([jump]), seen[None] / kept
        )

    def strength(self) -> Strength:
        """Return the most probable strengths and form."""
        row, form = np.unravel_index(int(np.argmax(self._share)), self._share.shape)
        quadratic, smooth, rough = (float(value) for value in STRENGTHS[row])
        forms = self._forms
        return Strength(
            self.coordinates,
            quadratic,
            smooth,
            rough,
            bool(forms.is_log[form]),
            float(forms.centres[form]),
            float(forms.spreads[form]),
        )

    def draw(self, count: int, random: np.random.Generator) -> MetricFunctions:
        """Return draws."""
        fit = self._fit
        size, seen_count = self._basis.size, len(self._seen)
        normal = random.standard_normal((count, size))
        noise = random.standard_normal((count, seen_count))
        blurred = self._forms.blur * random.standard_normal((count, len(fit.groups)))
        gamma = random.gamma(fit.shape, size=count)
        picks = random.random(count)
        options = np.argwhere(self._share > 5e-3)
        cumulative = np.cumsum(self._share[tuple(options.T)])
        picked = np.searchsorted(cumulative / cumulative[-1], picks)
        picked = np.minimum(picked, len(options) - 1)
        member = (fit.groups[:, None] == np.arange(seen_count)).astype(float)
        weights = np.empty((count, size))
        jump, seen = np.empty(count), np.empty((count, seen_count))
        for k in np.unique(picked):
            g, form = (int(i) for i in options[k])
            rows = np.flatnonzero(picked == k)
            variance = NOISE_SHARE * STRENGTHS[g, 2]
            scale = np.sqrt(fit.rate[g, form] / gamma[rows])[:, None]
            prior = normal[rows] * np.sqrt(self._priors[g])
            off = np.sqrt(variance) * noise[rows]
            rest = self._forms.latent[:, form] / scale - prior @ fit.features.T - off @ member.T
            rest -= blurred[rows]
            alpha = rest @ self._inverse(g)
            weights[rows] = scale * (prior + self._priors[g] * (alpha @ fit.features))
            seen[rows] = scale * (off + variance * (alpha @ member))
            jump[rows] = scale[:, 0] * np.sqrt(variance)
        return self._column(weights, options[picked, 1], jump, seen)

    def _column(
        self, weights: Array, forms: NDArray[np.intp], jump: Array, seen_jumps: Array
    ) -> MetricFunctions:
        return MetricFunctions(
            self._basis,
            self.coordinates,
            weights,
            self._forms.centres[forms],
            self._forms.spreads[forms],
            self._forms.is_log[forms],
            jump,
            self._seen,
            seen_jumps,
        )

    def _inverse(self, g: int) -> Array:
        if g not in self._inverses:
            half = np.linalg.inv(self._fit.factor[g])
            self._inverses[g] = half.T @ half
        return self._inverses[g]


def _relevant(
    basis: Basis,
    points: Array,
    forms: _Forms,
    fit: _Fit,
    blocks: Sequence[NDArray[np.intp]],
) -> NDArray[np.intp]:
    """Return the coordinates that the metric depends on.

    Parameters are tried from the weakest on, by their share of the linear part, and left out
    where what came out is more probable without them.
    """
    best, form = np.unravel_index(np.argmax(fit.evidence), fit.evidence.shape)
    slopes = fit.features[:, basis.parts[0]].T @ fit.alpha[best][:, form]
    strength = [
        float(np.square(slopes[block] * points[:, block].std(axis=0)).sum()) for block in blocks
    ]
    strengths = STRENGTHS[(STRENGTHS[:, :2] == STRENGTHS[best, :2]).all(axis=1)]

    def evidence(kept: set[int]) -> float:
        coordinates = np.concatenate([blocks[i] for i in sorted(kept)])
        fit_evidence = _Fit(
            basis.only(coordinates), points[:, coordinates], forms, strengths
        ).evidence
        return float(np.logaddexp.reduce(fit_evidence, axis=None))

    kept = set(range(len(blocks)))
    reached = evidence(kept)
    for i in np.argsort(strength, kind="stable"):
        if len(kept) == 1:
            break
        without = evidence(kept - {int(i)})
        if without > reached + CLEAR_EVIDENCE:
            kept.remove(int(i))
            reached = without
    return np.sort(np.concatenate([blocks[i] for i in sorted(kept)]))
