"""Workers as Ray actors: real processes, replaced when they die, on one machine or a cluster."""

from __future__ import annotations

import logging
import socket
import time
from collections import deque
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any

import psutil

from search.errors import SearchError, WorkerError
from search.scenario.belongings import belongings_of
from search.scenario.outcome import EvaluationRequest, Failure, Outcome
from search.system.scratch import sweep_scratch
from search.workers.contract import ClusterLimits, EvaluatorFactory, Ticket, WorkerPool
from search.workers.ray.actor import Identity, Note, Opened, WorkerProcess
from search.workers.ray.deaths import OomCounter, death_message
from search.workers.ray.host import RayHost
from search.workers.ray.node_files import Delivery, Parcel, Stock, pack
from search.workers.watchdog import MemoryWatchdog, data_limit_bytes

SLICE_SECONDS = 1.0
"""The longest single wait: exceptions that other threads inject must arrive."""

CLOSE_SECONDS = 1.0
"""How long idle workers get to remove their files before they are killed."""

MAX_DEATHS_AT_OPENING = 3
"""Workers that may die one after another before they answer; then the pool gives up."""

_logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Worker:
    """The driver's view of one actor.

    Attributes:
        actor: Ray's handle.
        call: The call that runs: ``hello``, ``open`` or ``evaluate``; None when idle.
        phase: The name of that call, or ``idle``.
        deadline: When the call must have ended, in ``time.monotonic`` seconds, or None.
        ticket: What it evaluates.
        identity: Who it is, once it said hello.
        began_at: When the evaluation was sent, seconds since the epoch.
    """

    actor: Any
    call: Future[Any] | None = None
    phase: str = "idle"
    deadline: float | None = None
    ticket: Ticket | None = None
    identity: Identity | None = None
    began_at: float = 0.0


class RayPool(WorkerPool):
    """A pool of Ray actors, each in a process of its own.

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
        self._least = cluster.min_workers or workers if cluster else workers
        self._per_node = cluster.workers_per_node if cluster else None
        self._had_least = False
        self._told_places = workers
        self._retries = retries
        self._trial_timeout_seconds = trial_timeout_seconds
        self._start_timeout_seconds = start_timeout_seconds
        memory = None if memory_bytes_per_worker is None else memory_bytes_per_worker * workers
        self._host = RayHost(cpus=workers, memory_bytes=memory)
        self._needs: dict[str, Any] = {
            "num_cpus": 1 if self._host.is_private else threads_per_worker
        }
        self._limit_bytes: int | None = None
        if memory_bytes_per_worker is not None:
            self._needs["memory"] = memory_bytes_per_worker
            self._limit_bytes = data_limit_bytes(memory_bytes_per_worker)
        self._watchdog = watchdog
        self._factory: Any = None
        self._workers: list[_Worker] = []
        self._queue: deque[Ticket] = deque()
        self._alone: deque[Ticket] = deque()
        self._done: deque[Outcome] = deque()
        # Waiting is Python's, not Ray's: `ray.wait` turns what a signal handler raises into
        # an exit of the process, or swallows it.
        self._events: SimpleQueue[tuple[_Worker, Future[Any]]] = SimpleQueue()
        self._deaths_at_opening = 0
        self._oom = OomCounter()

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
        import ray

        self._retire_all()
        self._stocks: tuple[Stock, ...] = ()
        self._parcels: dict[str, Parcel] = {}
        if not self._host.is_private:
            self._stocks = tuple(Stock.of(one) for one in belongings_of(factory))
        self._factory = ray.put(factory)
        self._deaths_at_opening = 0
        self._workers = [self._new_worker() for _ in range(self._size)]

    def submit(self, request: EvaluationRequest) -> None:
        """Queue a request, and send it if a worker is free."""
        if self._factory is None:
            raise WorkerError("the pool must be open before a request; call open(factory) first")
        self._queue.append(Ticket(request, self._retries))
        self._dispatch()

    def next_outcome(self, timeout_seconds: float | None = None) -> Outcome | None:
        """Wait for the next outcome, replacing workers that die or exceed their time."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not self._done and self.in_flight:
            left = SLICE_SECONDS if deadline is None else deadline - time.monotonic()
            self._handle_events(max(0.0, left))
            if left <= 0:
                break
        return self._done.popleft() if self._done else None

    def ready_outcome(self) -> Outcome | None:
        """Return an outcome that has come in already; free workers take up what waits."""
        if not self._done and self.in_flight:
            self._handle_events(0.0)
        return self._done.popleft() if self._done else None

    @property
    def in_flight(self) -> int:
        """Requests queued, running, or done and not collected."""
        running = sum(worker.ticket is not None for worker in self._workers)
        return len(self._queue) + len(self._alone) + running + len(self._done)

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
        self._queue.clear()
        self._alone.clear()
        self._done.clear()
        try:
            self._retire_all()
        finally:
            self._factory = None
            self._host.stop()
            sweep_scratch()

    # One event after another.

    def _handle_events(self, wait_seconds: float) -> None:
        deadlines = [worker.deadline for worker in self._workers if worker.deadline is not None]
        until_deadline = min(deadlines, default=float("inf")) - time.monotonic()
        seconds = max(0.0, min(wait_seconds, SLICE_SECONDS, until_deadline))
        try:
            self._finish_call(*self._events.get(timeout=seconds))
            while True:  # collect all that came, so that no worker waits while the driver works
                self._finish_call(*self._events.get_nowait())
        except Empty:
            self._host.check()
        self._end_overdue()
        self._end_offender()
        self._dispatch()

    def _finish_call(self, worker: _Worker, call: Future[Any]) -> None:
        import ray

        if worker.call is not call:
            return  # the worker was replaced meanwhile
        phase, worker.call = worker.phase, None
        error = call.exception()
        if error is None:
            self._on_answer(worker, phase, call.result())
        elif isinstance(error, ray.exceptions.RayTaskError):
            self._on_exception(worker, phase, error)
        else:
            self._on_death(worker, phase, error)

    def _on_answer(self, worker: _Worker, phase: str, answer: Any) -> None:
        if phase == "hello":
            self._on_hello(worker, answer)
        elif phase == "open":
            self._on_open(worker, answer)
        else:
            self._on_outcome(worker, *answer)

    def _on_hello(self, worker: _Worker, identity: Identity) -> None:
        worker.identity = identity
        self._had_least = self._had_least or self._placed() >= self._least
        self._refuse_crowd(identity.host)
        if self._host.is_private:
            with suppress(psutil.NoSuchProcess):
                self._host.know(psutil.Process(identity.pid))
        elif self._watchdog is not None and identity.host == socket.gethostname():
            self._watchdog.adopt(identity.pid)
        self._open(worker)

    def _open(self, worker: _Worker, absent: tuple[str, ...] = ()) -> None:
        """Let a worker open its evaluator, with what its node lacks."""
        import ray

        for stock in self._stocks:
            if stock.name in absent and stock.name not in self._parcels:
                self._parcels[stock.name] = pack(stock, ray.put)
        seconds = self._start_timeout_seconds
        lacks = tuple(self._parcels[name] for name in absent)
        delivery = Delivery(lacks, _get) if lacks else None
        self._send(
            worker, "open", seconds, self._factory, self._limit_bytes, self._stocks, delivery
        )

    def _on_open(self, worker: _Worker, opened: Opened) -> None:
        if opened.absent:
            self._open(worker, opened.absent)
            return
        self._deaths_at_opening = 0
        worker.phase, worker.deadline = "idle", None
        self._forward(worker, opened.notes)

    def _on_outcome(self, worker: _Worker, outcome: Outcome, notes: list[Note]) -> None:
        ticket = self._release(worker)
        self._forward(worker, notes)
        again = ticket.after(outcome)
        if again is None:
            self._done.append(outcome)
        else:
            self._queue.appendleft(again)

    def _on_exception(self, worker: _Worker, phase: str, error: Any) -> None:
        """Handle an exception that the actor raised: it lives on."""
        cause = error.cause if isinstance(error.cause, BaseException) else error
        if phase == "evaluate":
            # The evaluator's exceptions are outcomes already, so the answer itself is at fault.
            ticket = self._release(worker)
            text = f"a worker's answer must travel to the driver, but it cannot: {cause}"
            self._fail(ticket, worker, Failure(stage="worker", message=text))
            return
        if isinstance(cause, SearchError):
            raise cause
        raise WorkerError(
            f"a worker must be able to open its evaluator, but: {type(cause).__name__}: {cause}"
        ) from error

    def _on_death(self, worker: _Worker, phase: str, error: BaseException) -> None:
        """Replace a worker that died, and try its request again while tries are left."""
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
        ticket, worker.ticket = worker.ticket, None
        self._replace(worker)
        if ticket is None:
            return
        again = ticket.again()
        if again is not None:
            self._queue.appendleft(again)
            return
        advice = (
            f"; trial {ticket.request.trial} was tried {self._retries + 1} times: look at its "
            "parameters, or give a worker more with resources.memory_budget"
        )
        self._fail(ticket, worker, Failure(stage="worker", message=message + advice))

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for worker in list(self._workers):
            if worker.call is None or worker.deadline is None or worker.deadline > now:
                continue
            if worker.phase == "hello" and self._may_wait_for_room():
                worker.deadline = None
                continue
            if worker.phase != "evaluate":
                raise WorkerError(self._late_message(worker))
            ticket, worker.ticket = worker.ticket, None
            self._replace(worker)
            assert ticket is not None and self._trial_timeout_seconds is not None
            message = (
                f"an evaluation must end within {self._trial_timeout_seconds:g} s, but this one "
                "did not and its worker was killed; raise search.trial_timeout or look at "
                "the scenario with these parameters"
            )
            self._fail(ticket, worker, Failure(stage="timeout", message=message))

    def _end_offender(self) -> None:
        """End the evaluation of the worker that breaks the memory budget, if one does.

        It is tried once more with nothing beside it, after what waits, and then fails.
        """
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
        assert worker.ticket is not None and worker.identity is not None
        ticket, worker.ticket = worker.ticket, None
        message = excess.message(worker.identity.name)
        self._replace(worker)
        if ticket.is_alone or self._size == 1:
            self._fail(ticket, worker, Failure(stage="memory", message=message))
            return
        _logger.warning("trial %d: %s; it is tried once more, alone", ticket.request.trial, message)
        self._alone.append(ticket.alone())

    def _may_wait_for_room(self) -> bool:
        """Whether the pool can work with those workers that have a place in the cluster.

        It starts with the least that was asked for, and then goes on with what lost nodes
        leave; actors that wait for a place take it as soon as a node joins.
        """
        if self._host.is_private:
            return False
        placed = self._placed()
        if placed < (1 if self._had_least else self._least):
            return False
        if placed != self._told_places:
            self._told_places = placed
            _logger.warning(
                "the cluster has room for %d of %d workers; the others join when there is more",
                placed,
                self._size,
            )
        return True

    def _placed(self) -> int:
        return sum(worker.identity is not None for worker in self._workers)

    def _refuse_crowd(self, host: str) -> None:
        """Refuse more workers on a node than its memory is shared out for.

        Raises:
            WorkerError: Naming the node, and what to change.
        """
        here = [one for one in self._workers if one.identity and one.identity.host == host]
        if self._per_node is not None and len(here) > self._per_node:
            raise WorkerError(
                f"a node may hold resources.workers_per_node = {self._per_node} workers, but Ray "
                f"placed {len(here)} on {host}; raise it, which gives each less memory, or start "
                f"Ray there with --num-cpus={self._per_node * self._needs['num_cpus']}"
            )

    def _late_message(self, worker: _Worker) -> str:
        ray: Any = import_module("ray")

        if worker.identity is not None:
            return (
                f"a worker must open its evaluator within {self._start_timeout_seconds:g} s, but "
                f"{worker.identity.name} did not; see whether the machine is overloaded"
            )
        total, free = ray.cluster_resources(), ray.available_resources()
        wanted = {"CPU": self._needs["num_cpus"], "memory": self._needs.get("memory")}
        asked = ", ".join(f"{name} {value}" for name, value in wanted.items() if value is not None)
        offered = ", ".join(
            f"{name} {free.get(name, 0):g} free of {total.get(name, 0):g}"
            for name, value in wanted.items()
            if value is not None
        )
        least = 1 if self._had_least else self._least
        many = f"{least} worker{'s' if least > 1 else ''}"
        return (
            f"Ray must place {many} within {self._start_timeout_seconds:g} s, but "
            f"{'one still waits' if least > 1 else 'it waits'}: each asks for {asked}; Ray has "
            f"{offered}; lower resources.workers, min_workers or threads_per_worker, or give Ray "
            "more nodes"
        )

    # Small moves.

    def _dispatch(self) -> None:
        running = [worker.ticket for worker in self._workers if worker.ticket is not None]
        if any(ticket.is_alone for ticket in running):
            return
        if self._alone and not self._queue and not running:
            self._queue.append(self._alone.popleft())
        for worker in self._workers:
            if not self._queue:
                return
            if worker.phase == "idle":
                worker.ticket = self._queue.popleft()
                worker.began_at = time.time()
                self._send(worker, "evaluate", self._trial_timeout_seconds, worker.ticket.request)

    def _send(self, worker: _Worker, method: str, seconds: float | None, *arguments: Any) -> None:
        call = getattr(worker.actor, method).remote(*arguments).future()
        worker.call, worker.phase = call, method
        worker.deadline = None if seconds is None else time.monotonic() + seconds
        call.add_done_callback(lambda done: self._events.put((worker, done)))

    def _release(self, worker: _Worker) -> Ticket:
        ticket, worker.ticket = worker.ticket, None
        worker.phase, worker.deadline = "idle", None
        assert ticket is not None
        return ticket

    def _fail(self, ticket: Ticket, worker: _Worker, failure: Failure) -> None:
        outcome = Outcome(
            request=ticket.request,
            failure=failure,
            started_at=worker.began_at,
            seconds=time.time() - worker.began_at,
            worker=worker.identity.name if worker.identity else "",
        )
        self._done.append(outcome)

    def _forward(self, worker: _Worker, notes: list[Note]) -> None:
        name = worker.identity.name if worker.identity else "worker"
        for note in notes:
            logging.getLogger(note.logger).log(note.level, "[%s] %s", name, note.message)

    def _new_worker(self) -> _Worker:
        import ray

        options: dict[str, Any] = {
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": 1,
            **self._needs,
        }
        if not self._host.is_private:
            options["scheduling_strategy"] = "SPREAD"
        actor: Any = ray.remote(**options)(WorkerProcess).remote()
        worker = _Worker(actor)
        self._send(worker, "hello", self._start_timeout_seconds)
        return worker

    def _replace(self, worker: _Worker) -> None:
        self._kill(worker)
        self._workers[self._workers.index(worker)] = self._new_worker()

    def _kill(self, worker: _Worker) -> None:
        import ray

        worker.call = None  # what it still answers is of no interest
        if not self._host.is_broken:
            with suppress(Exception):  # a dead actor is dead enough
                ray.kill(worker.actor, no_restart=True)
        if self._host.is_private and worker.identity is not None:
            with suppress(psutil.Error):
                process = psutil.Process(worker.identity.pid)
                if process.create_time() == worker.identity.started:
                    process.kill()

    def _retire_all(self) -> None:
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


def _get(chunk: Any) -> bytes:
    """Get a chunk from Ray's object store; runs in workers."""
    import ray

    content: bytes = ray.get(chunk)
    return content
