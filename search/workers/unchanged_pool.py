"""A pool whose outcomes count only while what they were evaluated with stayed as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from search.errors import ProjectError
from search.scenario.outcome import EvaluationRequest, Outcome
from search.system.unchanged import Unchanged
from search.workers.contract import WorkerPool
from search.workers.passing_pool import PassingPool

_Key = tuple[int, str]


class UnchangedPool(PassingPool):
    """Passes on outcomes as long as what they were evaluated with has not changed.

    A file that was written meanwhile and holds the same again ends nothing, but it may have held
    something else: who evaluated at that time evaluates again.

    Args:
        pool: Evaluates. It stays its owner's.
        unchanged: Looked at before and after each evaluation.
        forget: Called when something changed, before that is raised.
        reads: Whether an outcome came from somebody who reads those files.
    """

    def __init__(
        self,
        pool: WorkerPool,
        unchanged: Unchanged,
        forget: Callable[[], None],
        reads: Callable[[Outcome], bool] = lambda outcome: True,
    ) -> None:
        super().__init__(pool)
        self._unchanged = unchanged
        self._forget = forget
        self._reads = reads
        self._writes: dict[_Key, int] = {}

    def submit(self, request: EvaluationRequest) -> None:
        """Queue the request."""
        self._unchanged.changed()
        self._writes[_key(request)] = self._unchanged.writes
        self._pool.submit(request)

    def next_outcome(self, timeout_seconds: float | None = None) -> Outcome | None:
        """Return the next outcome, once it is known that nothing changed meanwhile."""
        outcome = self._pool.next_outcome(timeout_seconds)
        while outcome is not None and not self._counts(outcome):
            outcome = self._pool.next_outcome(timeout_seconds)
        return outcome

    def ready_outcome(self) -> Outcome | None:
        """Return an outcome that has come in, once it is known that nothing changed meanwhile."""
        outcome = self._pool.ready_outcome()
        while outcome is not None and not self._counts(outcome):
            outcome = self._pool.ready_outcome()
        return outcome

    def _counts(self, outcome: Outcome) -> bool:
        """Whether an outcome counts; one that does not is evaluated again.

        Raises:
            ProjectError: If something changed.
        """
        if not self._reads(outcome):
            return True
        try:
            self._unchanged.require()
        except ProjectError:
            self._forget()
            raise
        key = _key(outcome.request)
        if self._writes.pop(key, self._unchanged.writes) == self._unchanged.writes:
            return True
        self.submit(replace(outcome.request, attempt=1))
        return False


def reads_the_project(outcome: Outcome) -> bool:
    """Return whether dbt was asked for an outcome, or may have been when it failed."""
    return outcome.engine == "dbt" or outcome.failure is not None


def _key(request: EvaluationRequest) -> _Key:
    return request.trial, f"{dict(request.values)!r} {request.replication!r}"
