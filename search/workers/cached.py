"""A pool that does not evaluate again what was evaluated before."""

from __future__ import annotations

from collections import deque

from search.scenario.outcome import EvaluationRequest, Outcome
from search.storage.evaluations import ResultCache
from search.workers.contract import WorkerPool
from search.workers.passing_pool import PassingPool


class CachedPool(PassingPool):
    """Answers from a cache what it can, and passes on the rest.

    Args:
        pool: Evaluates what is not in the cache. It stays its owner's: this pool opens,
            starts and closes nothing.
        cache: Where complete outcomes are looked up and kept.

    Attributes:
        hits: Requests that were answered from the cache.
    """

    def __init__(self, pool: WorkerPool, cache: ResultCache) -> None:
        super().__init__(pool)
        self._cache = cache
        self._known: deque[Outcome] = deque()
        self.hits = 0

    def submit(self, request: EvaluationRequest) -> None:
        """Look the request up, or queue it."""
        known = self._cache.find(request)
        if known is None:
            self._pool.submit(request)
        else:
            self.hits += 1
            self._known.append(known)

    def next_outcome(self, timeout_seconds: float | None = None) -> Outcome | None:
        """Return what was known, then what is evaluated, which is kept."""
        if self._known:
            return self._known.popleft()
        return self._kept(self._pool.next_outcome(timeout_seconds))

    def ready_outcome(self) -> Outcome | None:
        """Return what was known, or has been evaluated already and is kept."""
        if self._known:
            return self._known.popleft()
        return self._kept(self._pool.ready_outcome())

    def _kept(self, outcome: Outcome | None) -> Outcome | None:
        if outcome is not None:
            self._cache.keep(outcome)
        return outcome

    @property
    def in_flight(self) -> int:
        """Requests whose outcome was not returned yet."""
        return self._pool.in_flight + len(self._known)

    def close(self) -> None:
        """Drop what was looked up and close the pool behind."""
        self._known.clear()
        self._pool.close()
