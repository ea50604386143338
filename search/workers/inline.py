"""Evaluation in the driver's own process, for ``--workers 0``: no Ray, no parallelism."""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from search.errors import WorkerError
from search.scenario.outcome import EvaluationRequest, Outcome
from search.system import interrupt
from search.workers.contract import (
    EvaluatorFactory,
    RequestEvaluator,
    Ticket,
    WorkerPool,
    evaluate_safely,
)

SLICE_SECONDS = 0.2
"""The longest single wait: what signals and other threads raise must arrive."""
LEAVING_SECONDS = 1.0
"""How long an evaluation gets to end once nobody wants it; then it ends with the process."""


class InlinePool(WorkerPool):
    """Evaluates a request when its outcome is asked for, in a thread of this process.

    The thread that asks only waits, so that an interrupt finds it, and not a query or a
    template without end. A crash of the evaluator is a crash of the driver, and a hung evaluation
    cannot be ended alone: who needs either takes a pool with processes.

    Args:
        retries: How often a retryable failure is tried again, at least 0.
    """

    def __init__(self, *, retries: int = 1) -> None:
        self._retries = retries
        self._queue: deque[Ticket] = deque()
        self._evaluator: RequestEvaluator | None = None
        self._lane: _Lane | None = None
        self._running: Future[Any] | None = None

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
        self._evaluator, self._lane = evaluator, _Lane()
        self._wait(self._lane.call(evaluator.open), None)

    def submit(self, request: EvaluationRequest) -> None:
        """Queue a request."""
        if self._evaluator is None:
            raise WorkerError("the pool must be open before a request; call open(factory) first")
        self._queue.append(Ticket(request, self._retries))

    def next_outcome(self, timeout_seconds: float | None = None) -> Outcome | None:
        """Evaluate the oldest request and return its outcome."""
        if not self._queue or self._evaluator is None or self._lane is None:
            return None
        evaluator, first = self._evaluator, self._queue[0]
        if self._running is None:
            self._running = self._lane.call(lambda: _evaluate(evaluator, first))
        done, outcome = self._wait(self._running, timeout_seconds)
        if not done:
            return None
        self._running = None
        self._queue.popleft()
        assert isinstance(outcome, Outcome)
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
        self._running = None
        lane, self._lane = self._lane, None
        evaluator, self._evaluator = self._evaluator, None
        if lane is not None and evaluator is not None:
            lane.leave(evaluator.close)

    def _wait(self, call: Future[Any], timeout_seconds: float | None) -> tuple[bool, Any]:
        """Wait for a call of the lane: whether it ended in time, and what it returned."""
        try:
            return self._waited(call, timeout_seconds)
        except BaseException:
            if self._lane is not None and not call.done():
                self._lane.abandon()
            raise

    def _waited(self, call: Future[Any], timeout_seconds: float | None) -> tuple[bool, Any]:
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            left = SLICE_SECONDS if deadline is None else deadline - time.monotonic()
            try:
                result = call.result(max(0.0, min(left, SLICE_SECONDS)))
            except TimeoutError:
                if call.done():
                    raise  # the evaluator's own
                interrupt.check()
                if left <= SLICE_SECONDS and deadline is not None:
                    return False, None
                continue
            interrupt.check()  # what ended may have ended because of the interrupt
            return True, result


def _evaluate(evaluator: RequestEvaluator, first: Ticket) -> Outcome:
    worker = f"{socket.gethostname()}:{os.getpid()}"
    ticket: Ticket | None = first
    while ticket is not None:
        outcome = evaluate_safely(evaluator, ticket.request, worker)
        ticket = ticket.after(outcome)
    return outcome


class _Lane:
    """A thread that makes one call after another; a daemon, so that it never keeps the process."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._home = os.getcwd()
        self._is_abandoned = False
        self._thread = threading.Thread(target=self._live, name="evaluator", daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """Queue a call, and return what will tell of its end."""
        done: Future[Any] = Future()
        self._calls.put((function, done))
        return done

    def leave(self, close: Callable[[], None]) -> None:
        """End the thread, with a last call unless it was abandoned."""
        if self._is_abandoned:
            if not self._thread.is_alive():
                close()
            return  # else its files are removed when this process ends
        closed = self.call(close)
        self._calls.put(None)
        closed.result()

    def abandon(self) -> None:
        """Raise in the thread, once it is back from native code, and do not wait for it for long.

        A query that does not end stays where it is; the working directory, which dbt changes
        for an invocation, is put back, since results may be named relative to it.
        """
        self._is_abandoned = True
        self._calls.put(None)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(KeyboardInterrupt)
        )
        self._thread.join(LEAVING_SECONDS)
        if os.getcwd() != self._home:
            os.chdir(self._home)

    def _live(self) -> None:
        # What `abandon` raises may come when the call that it is meant for has just ended.
        with contextlib.suppress(KeyboardInterrupt):
            while (call := self._calls.get()) is not None:
                function, done = call
                try:
                    result = function()
                except BaseException as error:
                    done.set_exception(error)
                else:
                    done.set_result(result)
