"""Evaluation in the driver's own process, for ``--workers 0``: no Ray, no parallelism."""

from __future__ import annotations

import os
import socket
from collections import deque

from search.errors import WorkerError
from search.scenario.outcome import EvaluationRequest, Outcome
from search.workers.contract import Evaluator, EvaluatorFactory, Ticket, WorkerPool, evaluate_safely


class InlinePool(WorkerPool):
    """Evaluates a request when its outcome is asked for.

    A crash of the evaluator is a crash of the driver, and a hung evaluation cannot be
    ended: who needs either takes a pool with processes.

    Args:
        retries: How often a retryable failure is tried again, at least 0.
    """

    def __init__(self, *, retries: int = 1) -> None:
        self._retries = retries
        self._queue: deque[Ticket] = deque()
        self._evaluator: Evaluator | None = None

    def start(self) -> None:
        """Do nothing: there is nothing to begin early."""

    def open(self, factory: EvaluatorFactory) -> None:
        """Make and open the evaluator in this process."""
        if self._queue:
            raise WorkerError(
                f"a pool opens again only when idle, but {len(self._queue)} requests are in "
                "flight; collect their outcomes first"
            )
        self.close()
        evaluator = factory()
        self._evaluator = evaluator
        evaluator.open()

    def submit(self, request: EvaluationRequest) -> None:
        """Queue a request."""
        if self._evaluator is None:
            raise WorkerError("the pool must be open before a request; call open(factory) first")
        self._queue.append(Ticket(request, self._retries))

    def next_outcome(self, timeout_seconds: float | None = None) -> Outcome | None:
        """Evaluate the oldest request and return its outcome; the timeout cannot be kept."""
        if not self._queue or self._evaluator is None:
            return None
        ticket: Ticket | None = self._queue[0]
        worker = f"{socket.gethostname()}:{os.getpid()}"
        while ticket is not None:
            outcome = evaluate_safely(self._evaluator, ticket.request, worker)
            ticket = ticket.after(outcome)
        self._queue.popleft()
        return outcome

    @property
    def in_flight(self) -> int:
        """Requests queued."""
        return len(self._queue)

    @property
    def size(self) -> int:
        """Always 1."""
        return 1

    def close(self) -> None:
        """Close the evaluator and drop what is queued."""
        self._queue.clear()
        evaluator, self._evaluator = self._evaluator, None
        if evaluator is not None:
            evaluator.close()
