"""The next candidate, from the model: the one that most improves the best of its batch. Pure.

Every posterior draw of the model is a world that may be the true one. In each world the regret
of a candidate is how far it misses the targets there. The first candidate of a batch has the
least expected regret: it is the Gauss-Newton solution, moved to where the model is surest. The
next ones least expected regret *of the best of the batch*: they go to the worlds in which the
earlier ones, still running, are wrong.

Source:
    The best of a batch under posterior draws is the parallel knowledge gradient of D. Ginsbourger,
    R. Le Riche and L. Carraro, "Kriging is well-suited to parallelize optimization" (2010);
    of a function of modelled outputs: R. Astudillo and P. Frazier, "Bayesian optimization of
    composite functions", ICML 2019.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search.sampling.aims import Aims
from search.sampling.axes import Box
from search.sampling.basis import Basis
from search.sampling.design import farthest, spread_points
from search.sampling.doubt import Probes
from search.sampling.functions import Functions
from search.sampling.observed import Key, Observed, key_of, keys_of
from search.sampling.pool import Region, decode, neighbours, roundings
from search.sampling.regret import Regret
from search.sampling.step import ITERATIONS, Ambition, Walls, solve
from search.sampling.surrogate import Surrogate
from search.sampling.trim import trims

Array = NDArray[np.float64]

DRAWS = 40
MAX_MODELLED = 96
"""Evaluations that the model learns from, the best and the latest; the others are far away."""
AMBITIONS = (0.05, 0.2, 0.6, 2.0)
"""Improvements of an objective to try for, in standard deviations of what was seen."""
POLISHED = 6
BLUR = 0.02
"""Share with which an evaluation is off for the model, of its distance from what is wanted beyond
that of the nearest one: details far away are of no use, and make the model worse near by."""

Source = Literal["probes", "trims", "regret"]
"""What a candidate is sought by: the reason why targets look out of reach, a near miss that is put
right, or the least expected regret."""
SCHEDULE: tuple[tuple[Source, ...], ...] = (("probes", "regret"), ("trims", "regret"))
"""The slots, in turns by the number of candidates asked for so far: each one's sources in order,
the next where one has nothing new. Half of all slots, so that no kind starves another."""
COMBINATIONS = 16
"""Combinations of choices from which the model's mean is solved in one batch."""
HELD = 8
"""Candidates from which the targets that jump and are met are held."""
JUMPING = 0.1
"""Jumps, in tolerances, from which on a target is held once it is met."""
ROUNDED, ROUNDINGS = 4, 6
"""Solutions of the mean that are rounded to the grid at random, and how often each."""


class Plan:
    """Proposes candidates while what was evaluated stays the same.

    Args:
        region: Where candidates may lie.
        aims: The goals.
        observed: Evaluations; at least two with metrics.
        seed: Numbers that decide all random draws.
    """

    def __init__(
        self, region: Region, aims: Aims, observed: Observed, seed: tuple[int, ...]
    ) -> None:
        self.seed = seed
        self.region = region
        self.aims = aims
        self.observed = observed
        self._random = np.random.default_rng([*seed, len(observed.points), len(observed.failed)])
        self._basis = Basis.of(region.box.width, np.random.default_rng([*seed, 1]))
        self.losses = aims.loss(observed.metrics)

    def before(self, count: int) -> Plan | None:
        """Return the plan after the first evaluations only; None when they are too few."""
        if count < self.freedom + 2:
            return None
        observed = self.observed
        first = Observed(observed.points[:count], observed.metrics[:count], observed.failed)
        return Plan(self.region, self.aims, first, self.seed)

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
        return self.surrogate.draw(DRAWS, self._random)

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

    def choose(self, pending: Array, taken: set[Key]) -> Array | None:
        """Return the next candidate; None when the pool has no new one.

        Args:
            pending: Candidates that are being evaluated.
            taken: Keys of all candidates that were ever proposed.
        """
        for source in SCHEDULE[len(taken) % len(SCHEDULE)]:
            for point in self._sought_by(source, pending, len(taken)):
                if key_of(point) not in taken and self.region.allows(point):
                    return np.asarray(point)
        return None

    def _sought_by(self, source: Source, pending: Array, count: int) -> Iterable[Array]:
        """Return candidates of one kind, the best first."""
        if source == "probes":
            return self._probes.sought(pending, count)
        if source == "trims":
            return self._trims
        return self._by_regret(pending)

    def _by_regret(self, pending: Array) -> Iterator[Array]:
        """Yield the pool's candidates, least expected regret of the best of the batch first."""
        pool, regrets = self._judged
        reached = regrets
        if len(pending):
            base = self._regrets_of(pending).min(axis=0)
            reached = self.regret.of_later(np.minimum(regrets, base[None]))
        score = reached.mean(axis=1) + 1e-3 * regrets.mean(axis=1) + self.regret.of_failures(pool)
        for position in np.argsort(score, kind="stable"):
            yield pool[position]

    # --- what is believed about the best there is -------------------------------

    @property
    def freedom(self) -> int:
        """Numbers that a linear model of one metric has, the constant left aside."""
        alternatives = sum(len(self.box.axes[i].choices or ()) - 1 for i in self.box.categorical)
        return len(self.box.numeric) + alternatives

    @cached_property
    def probability(self) -> float:
        """Share of worlds in which some candidate meets all targets, 0 to 1."""
        if self.losses.min() == 0:
            return 1.0
        pool, _ = self._judged
        points = self.box.encode(pool)
        losses = self.aims.loss(self.draws.values(points, has_jumps=True))
        return float((losses.min(axis=1) == 0).mean())

    @cached_property
    def least_miss(self) -> float:
        """Root mean squared excess of the best candidate under the mean, in tolerances."""
        pool, _ = self._judged
        losses = self.aims.loss(self.mean.values(self.box.encode(pool))[0])
        allowed = [i for i in np.argsort(losses, kind="stable")[:20] if self.region.allows(pool[i])]
        return float(np.sqrt(losses[allowed[0] if allowed else 0] / self.aims.weight.mean()))

    @cached_property
    def expected_gain(self) -> float:
        """Improvement of the objective to expect of one more candidate, in deviations seen."""
        _, regrets = self._judged
        return max(0.0, -float(regrets.mean(axis=1).min()))

    # --- the pool ---------------------------------------------------------------

    @cached_property
    def _judged(self) -> tuple[Array, Array]:
        """The pool, and each candidate's regret in each world, shape (candidates, worlds)."""
        pool = self._unique(np.concatenate([self._solutions, self._elsewhere]))
        regrets = self._regrets_of(pool)
        for scale in (0.05, 0.015):
            order = np.argsort(regrets.mean(axis=1), kind="stable")[:POLISHED]
            near = [neighbours(self.box, pool[i], self._random, scale) for i in order]
            more = self._unique(np.concatenate(near), pool)
            if len(more):
                pool = np.concatenate([pool, more])
                regrets = np.concatenate([regrets, self._regrets_of(more)])
        return pool, regrets

    @cached_property
    def _probes(self) -> Probes:
        return Probes(self)

    @cached_property
    def _elsewhere(self) -> Array:
        points = spread_points(self.box, self._random, 64)
        order = farthest(self.box, self.observed.points, points)
        return np.asarray(points[order[:32]])

    @cached_property
    def _solutions(self) -> Array:
        """Where the targets meet: under the model's mean and in each world."""
        box, random = self.box, self._random
        order = np.argsort(self.losses, kind="stable")
        known = np.concatenate([self.observed.points[order[:16]], box.uniform(random, 80)])
        guesses = self.regret.of_metrics(self.draws.values(box.encode(known)))
        likely = known[np.argsort(guesses.mean(axis=1), kind="stable")[:4]]
        mean_starts = np.concatenate([known[:3], likely, self.alternatives()])
        starts = np.concatenate([mean_starts, known[np.argmin(guesses, axis=0)]])
        first = np.zeros(len(mean_starts), dtype=int)
        functions = self.mean.take(first).join(self.draws)
        relaxed = decode(box, self.solved(functions, box.encode(starts)))
        snapped = [box.snap(relaxed)]
        if box.is_gridded.any():
            mean_values = self.mean.values(box.encode(relaxed[: len(first)]))[0]
            best = np.argsort(self.aims.loss(mean_values), kind="stable")[:ROUNDED]
            worlds = np.arange(len(first), len(starts))
            chosen = np.concatenate([np.repeat(best, ROUNDINGS), worlds])
            rounded = roundings(box, relaxed[chosen], random)
            if not box.is_gridded.all():
                free = np.zeros(box.width, dtype=bool)
                free[: len(box.numeric)] = ~box.is_gridded
                again = self.solved(
                    functions.take(chosen), box.encode(rounded), free=free, iterations=5
                )
                rounded = box.snap(decode(box, again))
            snapped.append(rounded)
        snapped.append(self._held)
        return self.region.pulled_inside(np.concatenate(snapped), self.anchor)

    @cached_property
    def _trims(self) -> Array:
        """Near misses put right, while no evaluation meets all targets."""
        if self.losses.min() == 0:
            return np.empty((0, len(self.box.axes)))
        return trims(self.box, self.aims, self.observed.points, self.observed.metrics, self.mean)

    @cached_property
    def _held(self) -> Array:
        """Where the targets meet while those that jump stay met.

        From candidates that meet targets whose metric jumps, what these metrics depend on is
        held; the other targets are sought with the other parameters.
        """
        excess = np.abs(self.aims.excess(self.observed.metrics))
        order = np.argsort(self.losses, kind="stable")
        starts, free = [], []
        may_move = self.movable
        jumping = self._jumping()
        for holds in [jumping, *([metric] for metric in jumping if len(jumping) > 1)]:
            meeting = [i for i in order if not excess[i, holds].any()]
            moves = may_move.copy()
            for metric in holds:
                moves[self.mean.columns[metric].coordinates] = False
            if len(holds) and moves.any():
                starts += [self.observed.points[i] for i in meeting[:HELD]]
                free += [moves] * len(meeting[:HELD])
        if not starts:
            return np.empty((0, len(self.box.axes)))
        index = np.arange(len(starts) + max(len(starts), len(self.draws))) % len(starts)
        worlds = np.arange(len(index) - len(starts)) % len(self.draws)
        functions = self.mean.take(np.zeros(len(starts), dtype=int)).join(self.draws.take(worlds))
        encoded = self.box.encode(np.array(starts)[index])
        solved = self.solved(functions, encoded, free=np.array(free)[index])
        return self.box.snap(decode(self.box, solved))

    def _jumping(self) -> list[int]:
        """Return the targets whose metric jumps by a good part of a tolerance."""
        jumping = []
        for metric, column in enumerate(self.draws.columns):
            level = np.abs(self.observed.metrics[self.best, metric])
            scale = column.spread * np.where(column.is_log, level, 1.0)
            unit = min(self.aims.low_unit[metric], self.aims.high_unit[metric])
            if self.aims.direction[metric] == 0 and np.median(column.jump * scale) > JUMPING * unit:
                jumping.append(metric)
        return jumping

    def alternatives(self) -> Array:
        """Return starts with other choices: every combination when there are not many."""
        box, random = self.box, self._random
        if not len(box.categorical):
            return box.uniform(random, 5)
        sizes = [len(box.axes[i].choices or ()) for i in box.categorical]
        total = int(np.prod(sizes, dtype=object))
        picked = np.arange(total)
        if total > COMBINATIONS:
            picked = random.integers(min(total, 2**60), size=COMBINATIONS)
        starts = np.repeat(self.anchor[None], len(picked), axis=0)
        for i, size in zip(box.categorical, sizes, strict=True):
            starts[:, i] = picked % size
            picked = picked // size
        return np.concatenate([starts, box.uniform(random, 3)])

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

    @property
    def movable(self) -> NDArray[np.bool_]:
        """Which coordinates may move: those of numbers that have a range."""
        free = np.zeros(self.box.width, dtype=bool)
        free[: len(self.box.numeric)] = [
            self.box.axes[i].low < self.box.axes[i].high for i in self.box.numeric
        ]
        return free

    def _ambition(self, count: int) -> Ambition | None:
        if not self.aims.has_objective:
            return None
        spread = np.maximum(self.observed.metrics.std(axis=0), 1e-12)
        factors = np.array(AMBITIONS)[np.arange(count) % len(AMBITIONS)]
        base = self.observed.metrics[self.best]
        level = base - self.aims.direction * spread * factors[:, None]
        scale = np.where(self.aims.direction != 0, 0.2 * spread, np.inf)
        return Ambition(level, scale, self.aims.direction)

    def _regrets_of(self, points: Array) -> Array:
        """Return regrets with jumps, shape (points, worlds)."""
        metrics = self.draws.values(self.box.encode(points), has_jumps=True)
        return self.regret.of_metrics(metrics)

    def _unique(self, points: Array, beside: Array | None = None) -> Array:
        seen = set() if beside is None else set(keys_of(beside))
        kept = []
        for position, key in enumerate(keys_of(points)):
            if key not in seen:
                seen.add(key)
                kept.append(position)
        return points[kept]
