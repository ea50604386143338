"""Candidates along the line of solutions that are wanted more than what was found. Pure.

Once the targets are met there is mostly more than one way to meet them: with more parameters than
targets, a whole surface. The model of the metrics knows it. Least change on it is a linear program
around an evaluation (few parameters move, the others stay where they are), solved, followed along
the model, and rounded to the grid; each candidate then counts by the improvement that it promises
times the share of worlds in which it still meets every target.

Source:
    Improvement times feasibility: M. Schonlau, W. Welch and
    D. Jones, "Global versus local search in constrained optimization" (1998).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search.sampling.aims import Aims
from search.sampling.least import least_l1
from search.sampling.observed import Key, keys_of
from search.sampling.pool import decode, neighbours, roundings
from search.sampling.proposal import Plan
from search.sampling.step import Walls, solve
from search.sampling.trim import Anchored
from search.study.preference import MARGIN, Preference
from search.study.targets import Goal

Array = NDArray[np.float64]

STARTS = 4
"""Evaluations that meet every target from which the line of solutions is followed."""
SHARES = (MARGIN, 0.3, 0.6)
"""Shares of each tolerance that are kept free: the model errs, and a near edge is missed."""
ROUNDS = 3
"""Linear programs in a row, each around the last one's solution."""
MOVED = 2e-3
"""Movement, of a coordinate 2 wide, below which a parameter stays where it is today."""
WORTHWHILE, LEAST = 0.02, 0.002
"""Gain to expect of one more batch: a share of the preference's cost, and in ranges."""
DIFFERENT = 0.1
"""Ranges of parameters, summed, by which an alternative differs at least."""
NEAR = (0.05, 0.015)
"""Distances, in ranges, of the neighbours that are looked at."""
NEAR_MISS = 20.0
"""Tolerances by which each target of a near miss is missed at most."""
LIKELY = 0.5
"""Share of worlds in which an alternative meets every target at least."""

Hoped = tuple[Array, NDArray[np.bool_]]
"""Candidates, and which of them meet every target by a model led through an evaluation."""


@dataclass(frozen=True)
class Nearer:
    """Seeks what is preferred among candidates that meet every target.

    Attributes:
        plan: What was evaluated, and the model of it; one evaluation meets every target.
        goals: The goals behind it, in its order.
        preference: What is wanted.
        current: Today's parameters, a point.
    """

    plan: Plan
    goals: tuple[Goal, ...]
    preference: Preference
    current: Array

    def better(self, taken: set[Key], count: int) -> list[Array]:
        """Return up to so many new candidates; none when no more gain is to be expected.

        The first one is what the model, led through an evaluation, takes for best: also where it
        is not sure, since trying it is what makes it sure. The next ones have the greatest gain
        to expect beside it.

        Args:
            taken: Keys of all candidates that were ever proposed.
            count: At most so many.
        """
        pool, is_hoped = self._new(*self._pool, taken)
        if not len(pool):
            return []
        gain = np.maximum(0.0, self._incumbent - self._cost(pool, self._mean_of(pool)))
        gains = gain[:, None] * self._meets(pool).T
        chosen: list[int] = []
        reached = np.zeros(gains.shape[1])
        hoped = int(np.argmax(gain * is_hoped))
        if gain[hoped] * is_hoped[hoped] >= self._least:
            chosen.append(hoped)
            reached = gains[hoped]
        while len(chosen) < count:
            expected = np.maximum(gains, reached).mean(axis=1) - reached.mean()
            best = int(np.argmax(expected))
            if expected[best] < (0.1 if chosen else 1.0) * self._least:
                break
            chosen.append(best)
            reached = np.maximum(reached, gains[best])
        return [pool[i] for i in chosen]

    def others(self, taken: set[Key], count: int) -> list[Array]:
        """Return up to so many candidates that are likely to meet every target in another way."""
        pool, is_hoped = self._new(*self._resets, taken)
        if not len(pool):
            return []
        likely = pool[is_hoped & (self._meets(pool).mean(axis=0) >= LIKELY)]
        known = [self.plan.observed.points[i] for i in self._meeting]
        chosen: list[Array] = []
        for _ in range(count):
            apart = [min(self._apart(point, other) for other in known) for point in likely]
            if not apart or max(apart) < DIFFERENT:
                break
            chosen.append(likely[int(np.argmax(apart))])
            known.append(chosen[-1])
        return chosen

    # --- what is known -------------------------------------------------------------

    @cached_property
    def _meeting(self) -> list[int]:
        """Positions of the evaluations that meet every target, what is wanted most first."""
        met = np.flatnonzero(self.plan.losses == 0)
        names = [goal.metric for goal in self.goals]
        observed = self.plan.observed

        def rank(i: int) -> tuple[float, ...]:
            metrics = dict(zip(names, map(float, observed.metrics[i]), strict=True))
            return self.preference.rank(
                self.goals, self.plan.box.values(observed.points[i]), metrics
            )

        return sorted((int(i) for i in met), key=rank)

    @property
    def _best(self) -> int:
        return self._meeting[0]

    @cached_property
    def _incumbent(self) -> float:
        observed, best = self.plan.observed, [self._best]
        cost = float(self._cost(observed.points[best], observed.metrics[best])[0])
        names = [goal.metric for goal in self.goals]
        metrics = dict(zip(names, map(float, observed.metrics[self._best]), strict=True))
        # A plan that is not safe is worth a whole range of change to be made so.
        values = self.plan.box.values(observed.points[self._best])
        return cost + (self.preference.outside(self.goals, values, metrics) > 0)

    @property
    def _least(self) -> float:
        """Gain that is worth a batch."""
        scale = abs(self._incumbent)
        is_expression = self.preference.name not in ("least_change", "center")
        return WORTHWHILE * scale if is_expression else max(WORTHWHILE * scale, LEAST)

    def _cost(self, points: Array, metrics: Array) -> Array:
        names = [goal.metric for goal in self.goals]
        return np.array(
            [
                self.preference.cost(
                    self.goals,
                    self.plan.box.values(point),
                    dict(zip(names, map(float, row), strict=True)),
                )
                for point, row in zip(points, metrics, strict=True)
            ]
        )

    def _mean_of(self, points: Array) -> Array:
        return np.asarray(self.plan.mean.values(self.plan.box.encode(points))[0])

    def _meets(self, points: Array) -> NDArray[np.bool_]:
        """Return in which worlds points meet every target with its margin, (worlds, points)."""
        metrics = self.plan.draws.values(self.plan.box.encode(points), has_jumps=True)
        return np.asarray(self._tight(MARGIN).loss(metrics) == 0)

    def _apart(self, one: Array, other: Array) -> float:
        """Return how many ranges lie between two points; another choice is a whole one."""
        off = np.abs(one - other)
        off[self.plan.box.categorical] = off[self.plan.box.categorical] != 0
        return float(off.sum())

    def _tight(self, share: float) -> Aims:
        """Return the targets with a share of each tolerance kept free, and no pull inside."""
        aims = self.plan.aims
        has_tolerance = np.array([goal.tolerance > 0 for goal in self.goals])
        kept = share * np.where(has_tolerance, 1.0, 0.25)
        low, high = aims.low + kept * aims.low_unit, aims.high - kept * aims.high_unit
        safe = np.array(self.preference.safe_windows(self.goals))
        low, high = np.maximum(low, safe[:, 0]), np.minimum(high, safe[:, 1])
        is_crossed = low > high
        middle = safe.mean(axis=1)
        low, high = np.where(is_crossed, middle, low), np.where(is_crossed, middle, high)
        return replace(aims, low=low, high=high, soft_low=low, soft_high=high)

    def _new(
        self, points: Array, is_hoped: NDArray[np.bool_], taken: set[Key]
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Return the points that are allowed and new, each once, and which are hoped for."""
        rows: dict[Key, int] = {}
        hopes: dict[Key, bool] = {}
        for row, key in enumerate(keys_of(points)):
            if key not in taken and (key in rows or self.plan.region.allows(points[row])):
                rows.setdefault(key, row)
                hopes[key] = hopes.get(key, False) or bool(is_hoped[row])
        kept = points[list(rows.values())].reshape(-1, points.shape[1])
        return kept, np.array([hopes[key] for key in rows], dtype=bool)

    # --- candidates ---------------------------------------------------------------

    @cached_property
    def _pool(self) -> Hoped:
        box, random = self.plan.box, np.random.default_rng([len(self.plan.losses), 3])
        pools = [self._resets]
        if self.preference.name == "least_change":
            pools += [
                self._least_change(start, share) for start in self._starts for share in SHARES
            ]
        for i in self._meeting[:STARTS]:
            point = self.plan.observed.points[i]
            near = np.concatenate([neighbours(box, point, random, scale) for scale in NEAR])
            pools.append((near, np.zeros(len(near), dtype=bool)))
            if self.preference.name != "least_change":
                spread = point + 0.2 * (box.uniform(random, 60) - 0.5)
                spread[:, box.categorical] = point[box.categorical]
                # The search's own aims pull to the centre of each tolerance.
                is_center = self.preference.name == "center"
                aims = self.plan.aims if is_center else self._tight(SHARES[-1])
                pools.append(self._led(box.snap(np.concatenate([point[None], spread])), i, aims))
        points = np.concatenate([points for points, _ in pools])
        return points, np.concatenate([hopes for _, hopes in pools])

    @cached_property
    def _starts(self) -> list[tuple[Array, int | None]]:
        """Points from which to follow the line, with the evaluation that is known there.

        Near misses that are wanted more than the best belong to them: the model was not sure.
        """
        observed, box = self.plan.observed, self.plan.box
        excess = np.abs(self.plan.aims.excess(observed.metrics)).max(axis=1)
        near = np.flatnonzero((excess > 0) & (excess <= NEAR_MISS))
        cost = self._cost(observed.points[near], observed.metrics[near])
        wanted = [int(i) for i, debt in zip(near, cost, strict=True) if debt < self._incumbent]
        wanted.sort(key=lambda i: float(excess[i]))
        starts: list[tuple[Array, int | None]] = []
        nearest = np.argsort([self._apart(start, self.current) for start in observed.points])
        # The shortest way from today may lead to another part of the surface than what was found.
        for i in dict.fromkeys([*self._meeting[:STARTS], *wanted[:STARTS], *map(int, nearest[:3])]):
            point = observed.points[i]
            starts.append((point, i))
            for column in box.categorical:
                if point[column] != self.current[column]:
                    reset = point.copy()
                    reset[column] = self.current[column]
                    starts.append((reset, None))
        return starts

    def _least_change(self, start: tuple[Array, int | None], share: float) -> Hoped:
        """Return what moves least from today near a start, snapped and rounded to the grid."""
        box, aims = self.plan.box, self._tight(share)
        base = start[0].copy()
        base[box.numeric] = self.current[box.numeric]
        today = box.encode(base[None])[0]
        point = box.encode(start[0][None])[0]
        functions = self._anchored(start)
        free = np.zeros(box.width, dtype=bool)
        for _ in range(ROUNDS):
            values = functions.paired(point[None])
            slopes = functions.paired_slopes(point[None], values)[0]
            offset = values[0] + slopes @ (today - point)
            change = self._linear(today, slopes, aims.low - offset, aims.high - offset)
            free = np.abs(change) > MOVED
            if not free.any():
                point = today
                break
            moved = np.where(free, today + change, today)
            point = solve(functions, aims, moved[None], free=free, walls=self.plan.walls)[0]
        relaxed = decode(box, point[None])
        snapped = [box.snap(relaxed)]
        if box.is_gridded.any():
            random = np.random.default_rng(len(self.plan.losses))
            rounded = roundings(box, np.repeat(relaxed, 8, axis=0), random)
            still = box.numeric[~free[: len(box.numeric)]]
            rounded[:, still] = base[still]
            snapped.append(rounded)
        return self._hoped(np.concatenate(snapped), functions)

    def _hoped(self, points: Array, functions: Anchored) -> Hoped:
        """Return points, inside the constraints, and whether functions take them for a hit."""
        inside = self.plan.region.pulled_inside(points, self.plan.anchor)
        repeated = functions.functions.take(np.zeros(len(inside), dtype=int))
        led = Anchored(repeated, np.repeat(functions.offset[:1], len(inside), axis=0))
        metrics = led.paired(self.plan.box.encode(inside))
        return inside, np.asarray(self._tight(MARGIN / 2).loss(metrics) == 0)

    def _linear(self, today: Array, slopes: Array, low: Array, high: Array) -> Array:
        """Return the change of least weighted size that brings linear metrics between limits."""
        box = self.plan.box
        numbers = len(box.numeric)
        weights = np.array(
            [self.preference.spec.parameters[box.axes[i].name].weight for i in box.numeric]
        )
        rows, lows, highs = [slopes[:, :numbers]], [low], [high]
        if self.plan.walls is not None:
            walls: Walls = self.plan.walls
            rows.append(walls.normals)
            lows.append(np.full(len(walls.offsets), -np.inf))
            highs.append(-(walls.offsets + walls.normals @ today[:numbers]))
        matrix, least, most = np.concatenate(rows), np.concatenate(lows), np.concatenate(highs)
        length = np.linalg.norm(matrix, axis=1)
        kept = length > 1e-12
        matrix = matrix[kept] / length[kept, None]
        least, most = least[kept] / length[kept], most[kept] / length[kept]
        limits = np.where(self.plan.movable[:numbers], 1.0, 0.0)
        down, up = (-1.0 - today[:numbers]) * limits, (1.0 - today[:numbers]) * limits
        change = np.zeros(box.width)
        change[:numbers] = least_l1(weights, down, up, matrix, least, most)
        return change

    def _anchored(self, start: tuple[Array, int | None]) -> Anchored:
        mean = self.plan.mean.take(np.zeros(1, dtype=int))
        observed = self.plan.observed
        if start[1] is None:
            return Anchored(mean, np.zeros((1, observed.metrics.shape[1])))
        here = mean.paired(self.plan.box.encode(start[0][None]))
        return Anchored(mean, observed.metrics[[start[1]]] - here)

    @cached_property
    def _resets(self) -> Hoped:
        """Where one parameter is as today, alone or alone moved, and the others make up for it."""
        box = self.plan.box
        resets: list[Hoped] = [(np.empty((0, len(box.axes))), np.empty(0, dtype=bool))]
        for i in self._meeting[:STARTS]:
            point = self.plan.observed.points[i]
            is_moved = [j for j in box.numeric if abs(point[j] - self.current[j]) > MOVED / 2]
            starts, free = [], []
            for j in box.numeric:
                reset, alone = point.copy(), self.current.copy()
                alone[box.categorical] = point[box.categorical]
                alone[j] = point[j]
                may_move = self.plan.movable.copy()
                column = int(np.flatnonzero(box.numeric == j)[0])
                only = np.zeros_like(may_move)
                only[column] = may_move[column]
                if j in is_moved:
                    reset[j] = self.current[j]
                    may_move[column] = False
                    starts.append(reset)
                    free.append(may_move)
                starts.append(alone)
                free.append(only)
            resets.append(self._led(np.array(starts), i, self._tight(SHARES[1]), np.array(free)))
        points = np.concatenate([points for points, _ in resets])
        return points, np.concatenate([hopes for _, hopes in resets])

    def _led(
        self, points: Array, known: int, aims: Aims, free: NDArray[np.bool_] | None = None
    ) -> Hoped:
        """Return points led to where the targets are met, by the model through an evaluation."""
        box = self.plan.box
        functions = self.plan.mean.take(np.zeros(len(points), dtype=int))
        through = self._anchored((self.plan.observed.points[known], known))
        offset = np.repeat(through.offset, len(points), axis=0)
        solved = solve(
            Anchored(functions, offset),
            aims,
            box.encode(points),
            free=self.plan.movable if free is None else free,
            walls=self.plan.walls,
        )
        return self._hoped(box.snap(decode(box, solved)), through)
