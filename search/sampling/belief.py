"""What evaluations say of a scenario: models of its metrics, and worlds that may be the true one.

Pure; what is asked for is worked out once.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search.sampling.aims import Aims
from search.sampling.axes import Box
from search.sampling.basis import Basis
from search.sampling.functions import Functions
from search.sampling.observed import Observed
from search.sampling.pool import Region
from search.sampling.regret import Regret
from search.sampling.step import ITERATIONS, Ambition, Walls, solve
from search.sampling.surrogate import Surrogate

Array = NDArray[np.float64]

DRAWS = 40
MAX_MODELLED = 96
"""Evaluations that the model learns from, the best and the latest; the others are far away."""
AMBITIONS = (0.05, 0.2, 0.6, 2.0)
"""Improvements of an objective to try for, in standard deviations of what was seen."""
BLUR = 0.02
"""Share with which an evaluation is off for the model, of its distance from what is wanted beyond
that of the nearest one: details far away are of no use, and make the model worse near by."""


class Belief:
    """What is believed while what was evaluated stays the same.

    Args:
        region: Where candidates may lie.
        aims: The goals.
        observed: Evaluations; at least two with metrics.
        seed: Numbers that decide all random draws.

    Attributes:
        random: Draws for all who ask, in the order of their asking.
        losses: By how much each evaluation misses the goals; 0 for one that meets all.
    """

    def __init__(
        self, region: Region, aims: Aims, observed: Observed, seed: tuple[int, ...]
    ) -> None:
        self.seed = seed
        self.region = region
        self.aims = aims
        self.observed = observed
        self.random = np.random.default_rng([*seed, len(observed.points), len(observed.failed)])
        self._basis = Basis.of(region.box.width, np.random.default_rng([*seed, 1]))
        self.losses = aims.loss(observed.metrics)

    @property
    def box(self) -> Box:
        """The parameters."""
        return self.region.box

    @cached_property
    def surrogate(self) -> Surrogate:
        """The model of what was evaluated."""
        rows = self.modelled
        points = self.box.encode(self.observed.points[rows])
        metrics = self.observed.metrics[rows]
        distance = self.aims.distance(metrics)
        blur = BLUR * (distance - distance.min(axis=0))
        return Surrogate(self._basis, points, metrics, self.box.blocks, blur)

    @cached_property
    def modelled(self) -> NDArray[np.intp]:
        """Evaluations that the model learns from."""
        count = len(self.losses)
        if count <= MAX_MODELLED:
            return np.arange(count)
        best = np.argsort(self.losses, kind="stable")[: MAX_MODELLED * 3 // 4]
        late = np.arange(count - MAX_MODELLED // 4, count)
        return np.union1d(best, late)

    @cached_property
    def mean(self) -> Functions:
        """The model's mean."""
        return self.surrogate.mean()

    @cached_property
    def draws(self) -> Functions:
        """Worlds that may be the true one."""
        return self.surrogate.draw(DRAWS, self.random)

    @cached_property
    def best(self) -> int:
        """Position of the best evaluation."""
        objective = self.aims.objective(self.observed.metrics)
        return int(np.lexsort((objective, self.losses))[0])

    @cached_property
    def incumbent(self) -> float | None:
        """The best objective among evaluations that meet the targets; None without."""
        met = self.losses == 0
        if not self.aims.has_objective or not met.any():
            return None
        return float(self.aims.objective(self.observed.metrics)[met].min())

    @cached_property
    def regret(self) -> Regret:
        """What a miss costs, in every world."""
        return Regret(self.box, self.aims, self.observed, self.incumbent)

    @cached_property
    def anchor(self) -> Array:
        """An allowed candidate, the best evaluated one."""
        return np.asarray(self.observed.points[self.best])

    @cached_property
    def walls(self) -> Walls | None:
        """The constraints as the step sees them."""
        middle = np.full(len(self.box.axes), 0.5)
        middle[self.box.categorical] = self.anchor[self.box.categorical]
        return self.region.walls(np.array([self.anchor, middle]))

    @property
    def freedom(self) -> int:
        """Numbers that a linear model of one metric has, the constant left aside."""
        alternatives = sum(len(self.box.axes[i].choices or ()) - 1 for i in self.box.categorical)
        return len(self.box.numeric) + alternatives

    @property
    def movable(self) -> NDArray[np.bool_]:
        """Which coordinates may move: those of numbers that have a range."""
        free = np.zeros(self.box.width, dtype=bool)
        free[: len(self.box.numeric)] = [
            self.box.axes[i].low < self.box.axes[i].high for i in self.box.numeric
        ]
        return free

    def solved(
        self,
        functions: Functions,
        starts: Array,
        free: NDArray[np.bool_] | None = None,
        iterations: int = ITERATIONS,
        aims: Aims | None = None,
    ) -> Array:
        """Return, for each start, a point near which its function meets the goals best."""
        if free is None:
            free = self.movable
        return solve(
            functions,
            self.aims if aims is None else aims,
            starts,
            free=free,
            walls=self.walls,
            ambition=self._ambition(len(starts)),
            iterations=iterations,
        )

    def regrets_of(self, points: Array) -> Array:
        """Return regrets with jumps, shape (points, worlds)."""
        metrics = self.draws.values(self.box.encode(points), has_jumps=True)
        return self.regret.of_metrics(metrics)

    def _ambition(self, count: int) -> Ambition | None:
        if not self.aims.has_objective:
            return None
        spread = np.maximum(self.observed.metrics.std(axis=0), 1e-12)
        factors = np.array(AMBITIONS)[np.arange(count) % len(AMBITIONS)]
        base = self.observed.metrics[self.best]
        level = base - self.aims.direction * spread * factors[:, None]
        scale = np.where(self.aims.direction != 0, 0.2 * spread, np.inf)
        return Ambition(level, scale, self.aims.direction)
