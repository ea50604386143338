"""Keeps workers alive: starts and opens them, notices deaths and delays, and replaces them."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from queue import Empty, SimpleQueue
from typing import Any

import psutil

from search.errors import SearchError, WorkerError
from search.scenario.belongings import belongings_of
from search.scenario.outcome import Failure, Outcome
from search.workers.contract import EvaluatorFactory, Ticket
from search.workers.ray.actor import Identity, OpenAnswer, WorkerProcess
from search.workers.ray.cluster_room import ClusterRoom
from search.workers.ray.deaths import OomCounter, death_message
from search.workers.ray.host import RayHost
from search.workers.ray.node_files import Delivery, Parcel, Stock, pack
from search.workers.ray.worker import Worker
from search.workers.watchdog import MemoryWatchdog

SLICE_SECONDS = 1.0
"""The longest single wait: exceptions that other threads inject must arrive."""

CLOSE_SECONDS = 1.0
"""How long idle workers get to remove their files before they are killed."""

MAX_DEATHS_AT_OPENING = 3
"""Workers that may die one after another before they answer; then the pool gives up."""

_logger = logging.getLogger(__name__)


class Cause(Enum):
    """What ended an evaluation."""

    ANSWER = auto()
    DEATH = auto()
    TIME = auto()
    MEMORY = auto()


@dataclass(frozen=True)
class Ending:
    """An evaluation that has ended; its worker is idle again, or replaced.

    Attributes:
        ticket: What was evaluated.
        cause: What ended it.
        outcome: What came of it.
    """

    ticket: Ticket
    cause: Cause
    outcome: Outcome


@dataclass(frozen=True)
class Allowance:
    """What one worker may take.

    Attributes:
        start_seconds: To appear, and again to open its evaluator.
        trial_seconds: To evaluate; None for no limit.
        limit_bytes: Private memory that it may allocate; None for no limit.
    """

    start_seconds: float
    trial_seconds: float | None
    limit_bytes: int | None


class Supervision:
    """The workers of a pool, each an actor in a process of its own.

    Args:
        host: The Ray that runs them.
        room: What they ask of it, and how many places they found.
        allowance: What each may take.
        watchdog: Says which worker breaks the memory budget; its evaluation is ended.
    """

    def __init__(
        self,
        host: RayHost,
        room: ClusterRoom,
        allowance: Allowance,
        watchdog: MemoryWatchdog | None,
    ) -> None:
        self._host = host
        self._room = room
        self._allowance = allowance
        self._watchdog = watchdog
        self._factory: Any = None
        self._stocks: tuple[Stock, ...] = ()
        self._parcels: dict[str, Parcel] = {}
        self._workers: list[Worker] = []
        # Waiting is Python's, not Ray's: `ray.wait` turns what a signal handler raises into
        # an exit of the process, or swallows it.
        self._events: SimpleQueue[tuple[Worker, Future[Any]]] = SimpleQueue()
        self._deaths_at_opening = 0
        self._oom = OomCounter()

    def start_workers(self, count: int, factory: EvaluatorFactory) -> None:
        """Ask Ray for workers that will have this evaluator, without waiting for them."""
        import ray

        self.end_workers()
        self._stocks = ()
        self._parcels = {}
        if not self._host.is_private:
            self._stocks = tuple(Stock.of(belonging) for belonging in belongings_of(factory))
        self._factory = ray.put(factory)
        self._deaths_at_opening = 0
        self._workers = [self._new_worker() for _ in range(count)]

    @property
    def running(self) -> list[Ticket]:
        """What is being evaluated."""
        return [worker.ticket for worker in self._workers if worker.ticket is not None]

    @property
    def idle(self) -> int:
        """How many workers have an evaluator and nothing to do."""
        return sum(worker.phase == "idle" for worker in self._workers)

    def evaluate(self, ticket: Ticket) -> None:
        """Give a candidate to an idle worker; there must be one."""
        worker = next(worker for worker in self._workers if worker.phase == "idle")
        worker.ticket = ticket
        worker.began_at, worker.began = time.time(), time.monotonic()
        self._send(worker, "evaluate", self._allowance.trial_seconds, ticket.request)

    def endings(self, wait_seconds: float) -> Iterator[Ending]:
        """Yield what has ended, waiting for the first; deaths and delays are seen to meanwhile.

        Raises:
            WorkerError: If Ray broke, or workers cannot be had.
            SearchError: What a worker says that cannot open its evaluator.
        """
        deadlines = [worker.deadline for worker in self._workers if worker.deadline is not None]
        until_deadline = min(deadlines, default=float("inf")) - time.monotonic()
        seconds = max(0.0, min(wait_seconds, SLICE_SECONDS, until_deadline))
        try:
            yield from self._finish_call(*self._events.get(timeout=seconds))
            while True:  # collect all that came, so that no worker waits while the driver works
                yield from self._finish_call(*self._events.get_nowait())
        except Empty:
            self._host.check()
        yield from self._end_overdue()
        yield from self._end_offender()

    def end_workers(self) -> None:
        """End all workers; idle ones remove their files first."""
        workers, self._workers = self._workers, []
        try:
            if not self._host.is_broken:
                idle = [worker for worker in workers if worker.phase == "idle"]
                wait_for([w.actor.close.remote().future() for w in idle], timeout=CLOSE_SECONDS)
        except Exception:
            _logger.debug("workers were not closed in order", exc_info=True)
        finally:
            for worker in workers:
                self._kill(worker)

    # What a call came to.

    def _finish_call(self, worker: Worker, call: Future[Any]) -> Iterator[Ending]:
        import ray

        if worker.call is not call:
            return  # the worker was replaced meanwhile
        phase, worker.call = worker.phase, None
        error = call.exception()
        if error is None:
            yield from self._on_answer(worker, phase, call.result())
        elif isinstance(error, ray.exceptions.RayTaskError):
            yield self._on_exception(worker, phase, error)
        else:
            yield from self._on_death(worker, phase, error)

    def _on_answer(self, worker: Worker, phase: str, answer: Any) -> Iterator[Ending]:
        if phase == "hello":
            self._on_hello(worker, answer)
        elif phase == "open":
            self._on_open(worker, answer)
        else:
            outcome, notes = answer
            ticket = worker.release()
            worker.forward(notes)
            yield Ending(ticket, Cause.ANSWER, outcome)

    def _on_hello(self, worker: Worker, identity: Identity) -> None:
        worker.identity = identity
        self._room.take(self._placed(), identity.host)
        if self._host.is_private:
            with suppress(psutil.NoSuchProcess):
                self._host.know(psutil.Process(identity.pid))
        elif self._watchdog is not None and identity.host == socket.gethostname():
            self._watchdog.adopt(identity.pid)
        self._open(worker)

    def _open(self, worker: Worker, absent: tuple[str, ...] = ()) -> None:
        """Let a worker open its evaluator, with what its node lacks."""
        import ray

        for stock in self._stocks:
            if stock.name in absent and stock.name not in self._parcels:
                self._parcels[stock.name] = pack(stock, ray.put)
        lacks = tuple(self._parcels[name] for name in absent)
        delivery = Delivery(lacks, _get) if lacks else None
        allowed = self._allowance
        self._send(
            *(worker, "open", allowed.start_seconds),
            *(self._factory, allowed.limit_bytes, self._stocks, delivery),
        )

    def _on_open(self, worker: Worker, opened: OpenAnswer) -> None:
        if opened.absent:
            self._open(worker, opened.absent)
            return
        self._deaths_at_opening = 0
        worker.phase, worker.deadline = "idle", None
        worker.forward(opened.notes)

    def _on_exception(self, worker: Worker, phase: str, error: Any) -> Ending:
        """Handle an exception that the actor raised: it lives on."""
        cause = error.cause if isinstance(error.cause, BaseException) else error
        if phase == "evaluate":
            # The evaluator's exceptions are outcomes already, so the answer itself is at fault.
            ticket = worker.release()
            text = f"a worker's answer must travel to the driver, but it cannot: {cause}"
            failure = Failure(stage="worker", message=text)
            return Ending(ticket, Cause.ANSWER, worker.failed(ticket, failure))
        if isinstance(cause, SearchError):
            raise cause
        raise WorkerError(
            f"a worker must be able to open its evaluator, but: {type(cause).__name__}: {cause}"
        ) from error

    def _on_death(self, worker: Worker, phase: str, error: BaseException) -> Iterator[Ending]:
        """Replace a worker that died."""
        folder = self._host.folder
        message = death_message(worker.identity, error, is_oom=self._oom.grew(), folder=folder)
        if phase != "evaluate":
            self._deaths_at_opening += 1
            if self._deaths_at_opening >= MAX_DEATHS_AT_OPENING:
                raise WorkerError(
                    f"a worker must live until its evaluator is open, but "
                    f"{self._deaths_at_opening} died one after another; the last: {message}"
                ) from error
        _logger.warning("%s; it is replaced", message)
        if worker.ticket is None:
            self._replace(worker)
        else:
            yield self._end(worker, Cause.DEATH, Failure(stage="worker", message=message))

    # What must be ended.

    def _end_overdue(self) -> Iterator[Ending]:
        now = time.monotonic()
        for worker in list(self._workers):
            if worker.call is None or worker.deadline is None or worker.deadline > now:
                continue
            if worker.phase == "hello" and self._may_wait_for_place():
                worker.deadline = None
                continue
            if worker.phase != "evaluate":
                raise WorkerError(self._late_message(worker))
            seconds = self._allowance.trial_seconds
            message = (
                f"an evaluation must end within {seconds:g} s, but this one "
                "did not and its worker was killed; raise search.trial_timeout or look at "
                "the scenario with these parameters"
            )
            yield self._end(worker, Cause.TIME, Failure(stage="timeout", message=message))

    def _end_offender(self) -> Iterator[Ending]:
        """End the evaluation of the worker that breaks the memory budget, if one does."""
        here = socket.gethostname()
        evaluating = {
            worker.identity.pid: worker
            for worker in self._workers
            if worker.phase == "evaluate" and worker.identity and worker.identity.host == here
        }
        excess = self._watchdog.offender(evaluating) if self._watchdog is not None else None
        if excess is None:
            return
        worker = evaluating[excess.pid]
        assert worker.identity is not None
        message = excess.message(worker.identity.name)
        yield self._end(worker, Cause.MEMORY, Failure(stage="memory", message=message))

    def _may_wait_for_place(self) -> bool:
        return not self._host.is_private and self._room.is_enough(len(self._placed()))

    def _placed(self) -> list[Identity]:
        return [worker.identity for worker in self._workers if worker.identity is not None]

    def _late_message(self, worker: Worker) -> str:
        seconds = self._allowance.start_seconds
        if worker.identity is None:
            return self._room.late_message(seconds)
        return (
            f"a worker must open its evaluator within {seconds:g} s, but "
            f"{worker.identity.name} did not; see whether the machine is overloaded"
        )

    # Small moves.

    def _send(self, worker: Worker, method: str, seconds: float | None, *arguments: Any) -> None:
        call = getattr(worker.actor, method).remote(*arguments).future()
        worker.call, worker.phase = call, method
        worker.deadline = None if seconds is None else time.monotonic() + seconds
        call.add_done_callback(lambda done: self._events.put((worker, done)))

    def _new_worker(self) -> Worker:
        import ray

        options: dict[str, Any] = {
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": 1,
            **self._room.needs,
        }
        if not self._host.is_private:
            options["scheduling_strategy"] = "SPREAD"
        actor: Any = ray.remote(**options)(WorkerProcess).remote()
        worker = Worker(actor)
        self._send(worker, "hello", self._allowance.start_seconds)
        return worker

    def _end(self, worker: Worker, cause: Cause, failure: Failure) -> Ending:
        """Replace a worker whose evaluation has failed, and return how it ended."""
        ticket, worker.ticket = worker.ticket, None
        assert ticket is not None
        self._replace(worker)
        return Ending(ticket, cause, worker.failed(ticket, failure))

    def _replace(self, worker: Worker) -> None:
        self._kill(worker)
        self._workers[self._workers.index(worker)] = self._new_worker()

    def _kill(self, worker: Worker) -> None:
        worker.kill(is_ray_broken=self._host.is_broken, is_here=self._host.is_private)


def _get(chunk: Any) -> bytes:
    """Get a chunk from Ray's object store; runs in workers."""
    import ray

    content: bytes = ray.get(chunk)
    return content
