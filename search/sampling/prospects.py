"""Candidates that a batch is chosen from: where the targets meet in some world, and elsewhere."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search.sampling.belief import Belief
from search.sampling.design import farthest, spread_points
from search.sampling.observed import keys_of
from search.sampling.pool import decode, neighbours, roundings

Array = NDArray[np.float64]

POLISHED = 6
COMBINATIONS = 16
"""Combinations of choices from which the model's mean is solved in one batch."""
HELD = 8
"""Candidates from which the targets that jump and are met are held."""
JUMPING = 0.1
"""Jumps, in tolerances, from which on a target is held once it is met."""
ROUNDED, ROUNDINGS = 4, 6
"""Solutions of the mean that are rounded to the grid at random, and how often each."""


def alternatives(belief: Belief) -> Array:
    """Return starts with other choices: every combination when there are not many."""
    box, random = belief.box, belief.random
    if not len(box.categorical):
        return box.uniform(random, 5)
    sizes = [len(box.axes[i].choices or ()) for i in box.categorical]
    total = int(np.prod(sizes, dtype=object))
    picked = np.arange(total)
    if total > COMBINATIONS:
        picked = random.integers(min(total, 2**60), size=COMBINATIONS)
    starts = np.repeat(belief.anchor[None], len(picked), axis=0)
    for i, size in zip(box.categorical, sizes, strict=True):
        starts[:, i] = picked % size
        picked = picked // size
    return np.concatenate([starts, box.uniform(random, 3)])


class Prospects:
    """Finds candidates by what is believed.

    Args:
        belief: It.
    """

    def __init__(self, belief: Belief) -> None:
        self._belief = belief

    @cached_property
    def judged(self) -> tuple[Array, Array]:
        """The pool, and each candidate's regret in each world, shape (candidates, worlds)."""
        pool = self._unique(np.concatenate([self._solutions, self._elsewhere]))
        regrets = self._belief.regrets_of(pool)
        for scale in (0.05, 0.015):
            order = np.argsort(regrets.mean(axis=1), kind="stable")[:POLISHED]
            near = [
                neighbours(self._belief.box, pool[i], self._belief.random, scale) for i in order
            ]
            more = self._unique(np.concatenate(near), pool)
            if len(more):
                pool = np.concatenate([pool, more])
                regrets = np.concatenate([regrets, self._belief.regrets_of(more)])
        return pool, regrets

    @cached_property
    def _elsewhere(self) -> Array:
        points = spread_points(self._belief.box, self._belief.random, 64)
        order = farthest(self._belief.box, self._belief.observed.points, points)
        return np.asarray(points[order[:32]])

    @cached_property
    def _solutions(self) -> Array:
        """Where the targets meet: under the model's mean and in each world."""
        box, random = self._belief.box, self._belief.random
        order = np.argsort(self._belief.losses, kind="stable")
        known = np.concatenate([self._belief.observed.points[order[:16]], box.uniform(random, 80)])
        guesses = self._belief.regret.of_metrics(self._belief.draws.values(box.encode(known)))
        likely = known[np.argsort(guesses.mean(axis=1), kind="stable")[:4]]
        mean_starts = np.concatenate([known[:3], likely, alternatives(self._belief)])
        starts = np.concatenate([mean_starts, known[np.argmin(guesses, axis=0)]])
        first = np.zeros(len(mean_starts), dtype=int)
        functions = self._belief.mean.take(first).join(self._belief.draws)
        relaxed = decode(box, self._belief.solved(functions, box.encode(starts)))
        snapped = [box.snap(relaxed)]
        if box.is_gridded.any():
            mean_values = self._belief.mean.values(box.encode(relaxed[: len(first)]))[0]
            best = np.argsort(self._belief.aims.loss(mean_values), kind="stable")[:ROUNDED]
            worlds = np.arange(len(first), len(starts))
            chosen = np.concatenate([np.repeat(best, ROUNDINGS), worlds])
            rounded = roundings(box, relaxed[chosen], random)
            if not box.is_gridded.all():
                free = np.zeros(box.width, dtype=bool)
                free[: len(box.numeric)] = ~box.is_gridded
                again = self._belief.solved(
                    functions.take(chosen), box.encode(rounded), free=free, iterations=5
                )
                rounded = box.snap(decode(box, again))
            snapped.append(rounded)
        snapped.append(self._held)
        return self._belief.region.pulled_inside(np.concatenate(snapped), self._belief.anchor)

    @cached_property
    def _held(self) -> Array:
        """Where the targets meet while those that jump stay met.

        From candidates that meet targets whose metric jumps, what these metrics depend on is
        held; the other targets are sought with the other parameters.
        """
        excess = np.abs(self._belief.aims.excess(self._belief.observed.metrics))
        order = np.argsort(self._belief.losses, kind="stable")
        starts, free = [], []
        may_move = self._belief.movable
        jumping = self._jumping()
        for holds in [jumping, *([metric] for metric in jumping if len(jumping) > 1)]:
            meeting = [i for i in order if not excess[i, holds].any()]
            moves = may_move.copy()
            for metric in holds:
                moves[self._belief.mean.columns[metric].coordinates] = False
            if len(holds) and moves.any():
                starts += [self._belief.observed.points[i] for i in meeting[:HELD]]
                free += [moves] * len(meeting[:HELD])
        if not starts:
            return np.empty((0, len(self._belief.box.axes)))
        index = np.arange(len(starts) + max(len(starts), len(self._belief.draws))) % len(starts)
        worlds = np.arange(len(index) - len(starts)) % len(self._belief.draws)
        functions = self._belief.mean.take(np.zeros(len(starts), dtype=int)).join(
            self._belief.draws.take(worlds)
        )
        encoded = self._belief.box.encode(np.array(starts)[index])
        solved = self._belief.solved(functions, encoded, free=np.array(free)[index])
        return self._belief.box.snap(decode(self._belief.box, solved))

    def _jumping(self) -> list[int]:
        """Return the targets whose metric jumps by a good part of a tolerance."""
        jumping = []
        aims = self._belief.aims
        for metric, column in enumerate(self._belief.draws.columns):
            level = np.abs(self._belief.observed.metrics[self._belief.best, metric])
            scale = column.spread * np.where(column.is_log, level, 1.0)
            unit = min(aims.low_unit[metric], aims.high_unit[metric])
            if aims.direction[metric] == 0 and np.median(column.jump * scale) > JUMPING * unit:
                jumping.append(metric)
        return jumping

    def _unique(self, points: Array, beside: Array | None = None) -> Array:
        seen = set() if beside is None else set(keys_of(beside))
        kept = []
        for position, key in enumerate(keys_of(points)):
            if key not in seen:
                seen.add(key)
                kept.append(position)
        return points[kept]
