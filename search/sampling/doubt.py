"""Candidates that tell why no evaluation meets all targets, in place of coming nearer. Pure.

When a hit has become unlikely, single targets and pairs are sought: an explanation then rests on
evaluations. When nothing better has come for a while, the model may be right only about the part
of the space that it keeps returning to (a local minimum, another branch of a jump), so some
candidates go where nothing was evaluated.

Source:
    Restarts far from what is known, while a search makes no progress: L. Rios and N. Sahinidis,
    "Derivative-free optimization: a review", J. Global Optimization 56 (2013). By distance: M.
    Johnson, L. Moore and D. Ylvisaker, J. Statistical Planning and Inference 26 (1990).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.sampling.design import farthest, spread_points
from search.sampling.pool import decode
from search.sampling.prospects import alternatives

if TYPE_CHECKING:
    from search.sampling.proposal import Plan

Array = NDArray[np.float64]

DOUBTFUL = 0.15
"""Chance of meeting all targets below which half of the candidates look for the reason."""
PROBED = 8
"""Targets and pairs of targets that are sought, at most."""
STALLED = 6
"""Evaluations without a better one after which unexplored parts are looked at: more than a batch
of four, so that one batch that fails is no reason."""
UNLIKELY = 0.3
"""Chance of meeting all targets above which the model is followed however long nothing improved."""


class Probes:
    """Candidates of one plan that are sought for what they tell.

    Args:
        plan: What was evaluated, and the model of it.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._found: dict[int, Array | None] = {}

    def sought(self, pending: Array, count: int) -> Iterable[Array]:
        """Return candidates, the best first; none while a hit is likely.

        Args:
            pending: Candidates that are being evaluated.
            count: Candidates asked for so far; every second slot explores once nothing improves.
        """
        plan = self._plan
        is_stalled = len(plan.losses) - 1 - plan.best >= STALLED and plan.losses.min() > 0
        if is_stalled and count // 2 % 2 == 0 and plan.probability <= UNLIKELY:
            return self._unexplored(pending)
        return self._nearest() if plan.probability <= DOUBTFUL else ()

    def _unexplored(self, pending: Array) -> Array:
        """Return points spread over the box, the farthest from all that is known first."""
        plan = self._plan
        points = spread_points(plan.box, np.random.default_rng([*plan.seed, len(plan.losses)]))
        known = np.concatenate([plan.observed.points, plan.observed.failed, pending])
        return np.asarray(points[farthest(plan.box, known, points)])

    def _nearest(self) -> Iterator[Array]:
        """Yield where targets, alone or two at a time, come nearest that no evaluation has met.

        When all together look out of reach these tell which of them are to blame.
        """
        for position in range(len(self._unmet)):
            if position not in self._found:
                self._found[position] = self._nearest_to(self._unmet[position])
            point = self._found[position]
            if point is not None:
                yield point

    @cached_property
    def _unmet(self) -> list[tuple[int, ...]]:
        """Targets, alone or in pairs, that no evaluation has met."""
        excess = np.abs(self._plan.aims.excess(self._plan.observed.metrics))
        targets = [int(i) for i in np.flatnonzero(self._plan.aims.direction == 0)]
        return [
            subset
            for size in (1, 2)
            for subset in itertools.combinations(targets, size)
            if excess[:, subset].max(axis=1).min() > 0
        ][:PROBED]

    def _nearest_to(self, subset: Sequence[int]) -> Array | None:
        """Return where some of the targets come nearest, under the mean."""
        aims = self._plan.aims.only(subset)
        known = self._plan.observed.points
        nearest = np.argsort(aims.loss(self._plan.observed.metrics), kind="stable")[:2]
        starts = np.concatenate([known[nearest], self._plan.anchor[None], alternatives(self._plan)])
        functions = self._plan.mean.take(np.zeros(len(starts), dtype=int))
        encoded = self._plan.solved(functions, self._plan.box.encode(starts), aims=aims)
        snapped = self._plan.box.snap(decode(self._plan.box, encoded))
        losses = aims.loss(self._plan.mean.values(self._plan.box.encode(snapped))[0])
        best = snapped[np.argmin(losses)]
        inside = self._plan.region.pulled_inside(best[None], self._plan.anchor)
        return inside[0] if len(inside) else None
