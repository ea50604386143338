"""Workers as Ray actors: real processes, replaced when they die, on one machine or a cluster."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import replace
from typing import Any

from search.errors import WorkerError
from search.scenario.outcome import EvaluationRequest, Outcome
from search.system.scratch import sweep_scratch
from search.workers.contract import ClusterLimits, EvaluatorFactory, Ticket, WorkerPool
from search.workers.ray.cluster_room import ClusterRoom
from search.workers.ray.host import RayHost
from search.workers.ray.placement import Placement
from search.workers.ray.supervision import SLICE_SECONDS, Allowance, Cause, Ending, Supervision
from search.workers.watchdog import MemoryWatchdog, data_limit_bytes

_logger = logging.getLogger(__name__)


class RayPool(WorkerPool):
    """A pool of Ray actors, each in a process of its own.

    ``Supervision`` keeps the workers alive and says how evaluations ended, ``Placement`` which
    candidate is the next. What an ending means for its candidate is decided here.

    Args:
        workers: How many, at least 1.
        threads_per_worker: CPUs that a worker asks of a shared cluster. A private Ray
            offers one CPU a worker, so that it starts no more processes than needed.
        retries: How often a request is tried again after a worker's death or a
            retryable failure, at least 0.
        trial_timeout_seconds: An evaluation that takes longer is ended by killing its
            worker, and is not tried again; None never ends one.
        start_timeout_seconds: How long a worker may take to appear, and again to open
            its evaluator.
        memory_bytes_per_worker: Memory that a worker asks of Ray; also bounds its allocations.
        watchdog: Says which worker breaks the memory budget; its evaluation is ended.
        cluster: How workers spread over a cluster, if there is one.
    """

    def __init__(
        self,
        *,
        workers: int,
        threads_per_worker: int = 1,
        retries: int = 1,
        trial_timeout_seconds: float | None = None,
        start_timeout_seconds: float = 60.0,
        memory_bytes_per_worker: int | None = None,
        watchdog: MemoryWatchdog | None = None,
        cluster: ClusterLimits | None = None,
    ) -> None:
        self._size = workers
        self._retries = retries
        memory = None if memory_bytes_per_worker is None else memory_bytes_per_worker * workers
        self._host = RayHost(cpus=workers, memory_bytes=memory)
        needs: dict[str, Any] = {"num_cpus": 1 if self._host.is_private else threads_per_worker}
        limit_bytes = None
        if memory_bytes_per_worker is not None:
            needs["memory"] = memory_bytes_per_worker
            limit_bytes = data_limit_bytes(memory_bytes_per_worker)
        self._workers = Supervision(
            self._host,
            ClusterRoom(workers, needs, cluster),
            Allowance(start_timeout_seconds, trial_timeout_seconds, limit_bytes),
            watchdog,
        )
        self._placement = Placement()
        self._done: deque[Outcome] = deque()
        self._is_open = False

    def start(self) -> None:
        """Begin to start Ray in the background."""
        self._host.start()

    def open(self, factory: EvaluatorFactory) -> None:
        """Wait for Ray and ask it for the workers, without waiting for them."""
        if self.in_flight:
            raise WorkerError(
                f"a pool opens again only when idle, but {self.in_flight} requests are in "
                "flight; collect their outcomes first"
            )
        self._host.wait()
        self._workers.start_workers(self._size, factory)
        self._is_open = True

    def submit(self, request: EvaluationRequest) -> None:
        """Queue a request, and send it if a worker is free."""
        if not self._is_open:
            raise WorkerError("the pool must be open before a request; call open(factory) first")
        self._placement.add(Ticket(request, self._retries))
        self._dispatch()

    def next_outcome(self, timeout_seconds: float | None = None) -> Outcome | None:
        """Wait for the next outcome, replacing workers that die or exceed their time."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not self._done and self.in_flight:
            left = SLICE_SECONDS if deadline is None else deadline - time.monotonic()
            self._handle_endings(max(0.0, left))
            if left <= 0:
                break
        return self._done.popleft() if self._done else None

    def ready_outcome(self) -> Outcome | None:
        """Return an outcome that has come in already; free workers take up what waits."""
        if not self._done and self.in_flight:
            self._handle_endings(0.0)
        return self._done.popleft() if self._done else None

    @property
    def in_flight(self) -> int:
        """Requests queued, running, or done and not collected."""
        return len(self._placement) + len(self._workers.running) + len(self._done)

    @property
    def size(self) -> int:
        """Number of workers."""
        return self._size

    @property
    def start_seconds(self) -> float:
        """How long Ray took to start, in seconds; 0 while it starts."""
        return self._host.start_seconds

    def close(self) -> None:
        """Kill the workers, end Ray and remove its folder and what killed workers left."""
        self._placement.clear()
        self._done.clear()
        try:
            self._workers.end_workers()
        finally:
            self._is_open = False
            self._host.stop()
            sweep_scratch()

    def _handle_endings(self, wait_seconds: float) -> None:
        for ending in self._workers.endings(wait_seconds):
            self._handle(ending)
        self._dispatch()

    def _dispatch(self) -> None:
        workers = self._workers
        for ticket in self._placement.next_tickets(workers.running, idle=workers.idle):
            workers.evaluate(ticket)

    def _handle(self, ending: Ending) -> None:
        """Try a candidate again while that may help, else keep the outcome."""
        ticket, outcome = ending.ticket, ending.outcome
        if ending.cause is Cause.MEMORY and not ticket.is_alone and self._size > 1:
            _logger.warning(
                "trial %d: %s; it is tried once more, alone",
                ticket.request.trial,
                outcome.failure.message if outcome.failure else "",
            )
            self._placement.set_aside(ticket.alone())
            return
        again = None
        if ending.cause is Cause.DEATH:
            again = ticket.again()
            outcome = outcome if again else self._with_advice(outcome)
        elif ending.cause is Cause.ANSWER:
            again = ticket.after(outcome)
        if again is None:
            self._done.append(outcome)
        else:
            self._placement.add_first(again)

    def _with_advice(self, outcome: Outcome) -> Outcome:
        assert outcome.failure is not None
        message = (
            f"{outcome.failure.message}; trial {outcome.request.trial} was tried "
            f"{self._retries + 1} times: look at its parameters, or give a worker more with "
            "resources.memory_budget"
        )
        return replace(outcome, failure=replace(outcome.failure, message=message))
