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

from search.sampling.belief import Belief
from search.sampling.doubt import Probes
from search.sampling.observed import Key, Observed, key_of
from search.sampling.prospects import Prospects
from search.sampling.trim import trims

Array = NDArray[np.float64]


Source = Literal["probes", "trims", "regret"]
"""What a candidate is sought by: the reason why targets look out of reach, a near miss that is put
right, or the least expected regret."""
SCHEDULE: tuple[tuple[Source, ...], ...] = (("probes", "regret"), ("trims", "regret"))
"""The slots, in turns by the number of candidates asked for so far: each one's sources in order,
the next where one has nothing new. Half of all slots, so that no kind starves another."""


class Plan(Belief):
    """Proposes candidates while what was evaluated stays the same; arguments as of a belief."""

    def before(self, count: int) -> Plan | None:
        """Return the plan after the first evaluations only; None when they are too few."""
        if count < self.freedom + 2:
            return None
        observed = self.observed
        first = Observed(observed.points[:count], observed.metrics[:count], observed.failed)
        return Plan(self.region, self.aims, first, self.seed)

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
        pool, regrets = self._prospects.judged
        reached = regrets
        if len(pending):
            base = self.regrets_of(pending).min(axis=0)
            reached = self.regret.of_later(np.minimum(regrets, base[None]))
        score = reached.mean(axis=1) + 1e-3 * regrets.mean(axis=1) + self.regret.of_failures(pool)
        for position in np.argsort(score, kind="stable"):
            yield pool[position]

    @cached_property
    def probability(self) -> float:
        """Share of worlds in which some candidate meets all targets, 0 to 1."""
        if self.losses.min() == 0:
            return 1.0
        pool, _ = self._prospects.judged
        points = self.box.encode(pool)
        losses = self.aims.loss(self.draws.values(points, has_jumps=True))
        return float((losses.min(axis=1) == 0).mean())

    @cached_property
    def least_miss(self) -> float:
        """Root mean squared excess of the best candidate under the mean, in tolerances."""
        pool, _ = self._prospects.judged
        losses = self.aims.loss(self.mean.values(self.box.encode(pool))[0])
        allowed = [i for i in np.argsort(losses, kind="stable")[:20] if self.region.allows(pool[i])]
        return float(np.sqrt(losses[allowed[0] if allowed else 0] / self.aims.weight.mean()))

    @cached_property
    def expected_gain(self) -> float:
        """Improvement of the objective to expect of one more candidate, in deviations seen."""
        _, regrets = self._prospects.judged
        return max(0.0, -float(regrets.mean(axis=1).min()))

    @cached_property
    def _prospects(self) -> Prospects:
        return Prospects(self)

    @cached_property
    def _probes(self) -> Probes:
        return Probes(self)

    @cached_property
    def _trims(self) -> Array:
        """Near misses put right, while no evaluation meets all targets."""
        if self.losses.min() == 0:
            return np.empty((0, len(self.box.axes)))
        return trims(self.box, self.aims, self.observed.points, self.observed.metrics, self.mean)
