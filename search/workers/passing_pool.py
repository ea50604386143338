"""A pool that passes everything on to another one, for pools that change one thing on the way."""

from __future__ import annotations

from search.scenario.outcome import EvaluationRequest, Outcome
from search.workers.contract import EvaluatorFactory, WorkerPool


class PassingPool(WorkerPool):
    """Does what the pool behind does.

    Args:
        pool: Evaluates.
    """

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    def start(self) -> None:
        """Start the pool behind."""
        self._pool.start()

    def open(self, factory: EvaluatorFactory) -> None:
        """Open the pool behind."""
        self._pool.open(factory)

    def submit(self, request: EvaluationRequest) -> None:
        """Queue the request there."""
        self._pool.submit(request)

    def next_outcome(self, timeout_seconds: float | None = None) -> Outcome | None:
        """Return its next outcome."""
        return self._pool.next_outcome(timeout_seconds)

    def ready_outcome(self) -> Outcome | None:
        """Return an outcome that has come in there."""
        return self._pool.ready_outcome()

    @property
    def in_flight(self) -> int:
        """Requests whose outcome was not returned yet."""
        return self._pool.in_flight

    @property
    def size(self) -> int:
        """How many requests are evaluated at the same time."""
        return self._pool.size

    def close(self) -> None:
        """Close the pool behind."""
        self._pool.close()
