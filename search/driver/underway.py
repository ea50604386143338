"""Trials that are being evaluated: sent out, taken in, stored and told once they are whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from search.driver.judging import concluded
from search.driver.progress import Progress, TrialNews
from search.driver.results import CompleteTrial
from search.driver.standings import Standings
from search.scenario.outcome import EvaluationRequest, Outcome
from search.storage.attributes import Conclusion, Proposal
from search.storage.study_store import StudyStore
from search.study.targets import standing_texts
from search.study.values import Scalar
from search.system import interrupt
from search.workers.contract import WorkerPool
from search.workers.spool import Spool

WAIT_SECONDS = 0.5
"""Longest wait before a pending interrupt is noticed."""
TOLD_TOGETHER = 64
"""Outcomes, at most, that are stored with one write because they came at the same time."""


class Recorder(Protocol):
    """Takes what belongs in the audit trail, when it happens."""

    def event(self, kind: str, **fields: Any) -> None:
        """Take an event."""

    def event_batch(self, kind: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Take several events of one kind."""

    def publish(self) -> None:
        """Bring the analyst-facing trail up to date."""


@dataclass
class Pending:
    """A trial whose evaluations are not all in yet."""

    proposal: Proposal
    missing: int
    outcomes: list[Outcome] = field(default_factory=list)


class Underway:
    """The trials that are being evaluated.

    Args:
        store: The study in its storage.
        pool: Evaluates candidates; opened.
        standings: Learn how trials ended.
        recorder: Takes the trail.
        progress: Takes news for a person.
        statistic: What makes one number of a trial's replications: ``mean`` or ``median``.
        spool: Where workers keep outcomes until they are stored.
        clock: Seconds, monotonic.

    Attributes:
        first_submit_at: When the first candidate was submitted, by the clock; None before.
    """

    def __init__(
        self,
        *,
        store: StudyStore,
        pool: WorkerPool,
        standings: Standings,
        recorder: Recorder,
        progress: Progress,
        statistic: str,
        spool: Spool | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._pool = pool
        self._standings = standings
        self._recorder = recorder
        self._progress = progress
        self._statistic = statistic
        self._spool = spool
        self._clock = clock
        self._pending: dict[int, Pending] = {}
        self.first_submit_at: float | None = None

    def __len__(self) -> int:
        """Return how many trials are being evaluated."""
        return len(self._pending)

    def of(self, trials: frozenset[int]) -> int:
        """Return how many of these trials are being evaluated."""
        return len(trials & self._pending.keys())

    def expect(self, number: int, proposal: Proposal) -> None:
        """Take note of a trial whose outcomes are to come."""
        self._pending[number] = Pending(proposal, missing=max(1, len(proposal.replications)))

    def submit(self, batch: Mapping[int, Proposal]) -> None:
        """Send out the evaluations of a batch that no driver before this one had back."""
        self._recorder.event_batch(
            "trial_dispatched",
            [
                {
                    "trial": number,
                    "iteration": proposal.iteration,
                    "candidate": dict(proposal.values),
                    "lineage": proposal.lineage,
                }
                for number, proposal in batch.items()
            ],
        )
        for number, proposal in batch.items():
            self.expect(number, proposal)
            seeds: Sequence[Scalar | None] = proposal.replications or (None,)
            # Evaluated for a driver that died before it was told.
            spooled = self._spool.outcomes(number, proposal.values) if self._spool else {}
            for seed in seeds:
                if seed in spooled:
                    self._recorder.event("outcome_replayed", trial=number, replication=seed)
                    self.receive([(number, spooled[seed])])
                    continue
                self._pool.submit(
                    EvaluationRequest(trial=number, values=proposal.values, replication=seed)
                )
        if self.first_submit_at is None:
            self.first_submit_at = self._clock()

    def collect(self, trials: frozenset[int], show: Callable[[], None]) -> None:
        """Wait for the whole batch; tell each trial, of whatever batch, as soon as it is whole.

        Args:
            trials: The numbers of the batch.
            show: Called when there is something new to see.
        """
        show()
        while not trials.isdisjoint(self._pending):
            outcome = self._pool.next_outcome(WAIT_SECONDS)
            interrupt.check()
            came: list[tuple[int, Outcome]] = []
            while outcome is not None:
                came.append((outcome.request.trial, outcome))
                outcome = self._pool.ready_outcome() if len(came) < TOLD_TOGETHER else None
            if came:
                self.receive(came)
                show()

    def receive(self, outcomes: Iterable[tuple[int, Outcome]]) -> None:
        """Take outcomes of trials in; the trials of which all are there are told together."""
        whole: dict[int, Pending] = {}
        for number, outcome in outcomes:
            pending = self._pending[number]
            pending.outcomes.append(outcome)
            pending.missing -= 1
            if pending.missing == 0:
                whole[number] = pending
        if whole:
            self._tell(whole)
        for number in whole:
            del self._pending[number]

    def _tell(self, whole: Mapping[int, Pending]) -> None:
        """Store how trials ended, then let people know."""
        conclusions = {
            number: concluded(
                self._standings, pending.proposal.iteration, pending.outcomes, self._statistic
            )
            for number, pending in whole.items()
        }
        self._store.finish_all(conclusions)
        if self._spool:
            for number in whole:
                self._spool.forget(number)
        told, news = [], []
        for number, pending in whole.items():
            conclusion = conclusions[number]
            failed = (outcome for outcome in pending.outcomes if outcome.failure is not None)
            shown = next(failed, pending.outcomes[-1])
            iteration = pending.proposal.iteration
            is_best = self._is_new_best(number, pending, conclusion)
            told.append(
                {
                    "trial": number,
                    "iteration": iteration,
                    "metrics": dict(conclusion.metrics),
                    "failure": None if shown.failure is None else shown.failure.message,
                }
            )
            is_scored = bool(conclusion.variances)
            goals = self._standings.goals  # today's trial resolves relative ones
            news.append(
                TrialNews(
                    iteration=iteration,
                    outcome=shown,
                    variances=conclusion.variances,
                    is_met=bool(conclusion.is_all_targets_met),
                    is_best=is_best,
                    shown=standing_texts(goals, conclusion.metrics) if is_scored else {},
                )
            )
        self._recorder.event_batch("trial_finished", told)
        for trial in news:
            self._progress.trial(trial)

    def _is_new_best(self, number: int, pending: Pending, conclusion: Conclusion) -> bool:
        """Remember how a trial ended, and return whether it is the best by now."""
        if conclusion.failure is not None:
            self._standings.failed += 1
            return False
        return self._standings.add(
            CompleteTrial(
                number=number,
                iteration=pending.proposal.iteration,
                values=pending.proposal.values,
                metrics=conclusion.metrics,
                evaluations=[
                    (outcome.request.replication, outcome.metrics) for outcome in pending.outcomes
                ],
            )
        )
