"""What a search evaluates next: stored before any of it is dispatched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.driver.polish import Polish
from search.driver.standings import Standings
from search.sampling.choice import Samplers
from search.storage.attributes import CURRENT, PROPOSED, Proposal
from search.storage.study_store import StudyStore
from search.study import StudySpec
from search.study.space import canonical, current_candidate, distributions
from search.study.targets import Goal
from search.study.values import Scalar


@dataclass(frozen=True)
class WarmCandidate:
    """A candidate of an earlier study that is worth trying first.

    Attributes:
        values: The candidate, one of this study's.
        lineage: Where it comes from, in words.
    """

    values: Mapping[str, Scalar]
    lineage: str


WarmStart = Callable[[Sequence[Goal]], Sequence[WarmCandidate]]
"""Returns what to try first, given the resolved goals; the most promising first."""


class Proposer:
    """Proposes the batches of one search and stores them as trials.

    Args:
        spec: The study.
        store: The study in its storage.
        standings: The leaderboard.
        samplers: Make the sampler of an iteration.
        batch_size: Candidates of one iteration.
        details: Stored with each trial (run id, fingerprints).

    Attributes:
        iteration: The last iteration that was begun.
        is_exhausted: Whether the last batch was not whole: no candidate is left.
    """

    def __init__(
        self,
        spec: StudySpec,
        store: StudyStore,
        standings: Standings,
        samplers: Samplers,
        *,
        batch_size: int,
        details: Mapping[str, Any],
    ) -> None:
        self._spec = spec
        self._store = store
        self._standings = standings
        self._samplers = samplers
        self._batch_size = batch_size
        self._details = dict(details)
        self._space = distributions(spec)
        self._polish = Polish(spec, batch_size)
        self.iteration = 0
        self.is_exhausted = False

    @property
    def polished(self) -> int:
        """Evaluations after the first hit, those of earlier runs included."""
        return self._polish.used

    def note(self, iteration: int, lineage: str | None) -> None:
        """Count a trial of an earlier run."""
        self.iteration = max(self.iteration, iteration)
        self._polish.note(lineage)

    def current(self) -> tuple[int, Proposal]:
        """Store the trial of the current parameters."""
        ((number, proposal),) = self._stored([(CURRENT, current_candidate(self._spec))]).items()
        return number, proposal

    def earlier(self, warm_start: WarmStart) -> dict[int, Proposal]:
        """Store what earlier studies found, the first iteration; nothing when there is none."""
        known = [trial.values for trial in self._standings.complete]
        room = self._spec.search.max_trials - self._standings.count
        untried = [
            candidate
            for candidate in warm_start(self._standings.goals)
            if dict(candidate.values) not in known
        ]
        if not untried[:room]:
            return {}
        self.iteration = 1
        return self._stored([(candidate.lineage, candidate.values) for candidate in untried[:room]])

    def batch(self, room: int) -> dict[int, Proposal]:
        """Ask the sampler for a batch.

        Args:
            room: Trials that the study's limits leave.
        """
        self.iteration += 1
        size = min(self._batch_size, room)
        batch = self._store.ask_all(
            size,
            self._space,
            lambda values: self._proposal(values, PROPOSED),
            lambda: self._samplers.of_iteration(
                self._standings.goals, iteration=self.iteration, batch_size=size
            ),
        )
        self.is_exhausted = len(batch) < size
        return batch

    def nearer(self, room: int) -> dict[int, Proposal]:
        """Store candidates nearer to what is preferred; nothing when no more is to be gained.

        Args:
            room: Trials that the study's limits leave.
        """
        lineage, nearer = self._polish.propose(
            self._standings,
            self._samplers.target(self._standings.goals),
            self._store.finished(),
            room=room,
        )
        if not nearer:
            return {}
        self.iteration += 1
        return self._stored([(lineage, values) for values in nearer])

    def _stored(
        self, candidates: Sequence[tuple[str, Mapping[str, Scalar]]]
    ) -> dict[int, Proposal]:
        """Store candidates that no sampler was asked for, and return them by trial."""
        proposals = [self._proposal(values, lineage) for lineage, values in candidates]
        return dict(zip(self._store.start(proposals, self._space), proposals, strict=True))

    def _proposal(self, values: Mapping[str, Scalar], lineage: str) -> Proposal:
        seeds = self._spec.scenario.seeds
        return Proposal(
            values=canonical(self._spec, values),
            iteration=self.iteration,
            lineage=lineage,
            replications=tuple(seed for seed in seeds if seed is not None),
            details=self._details,
        )
