"""The worker's side: a process that holds one evaluator and answers one call at a time."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from search.scenario.belongings import moved
from search.scenario.outcome import EvaluationRequest, Outcome
from search.system import process_start
from search.system.opened import trust_threads
from search.workers.contract import EvaluatorFactory, RequestEvaluator, evaluate_safely
from search.workers.ray.node_files import Delivery, NodeFiles, Stock
from search.workers.watchdog import limit_data

MAX_NOTES = 50
"""Log messages that one call carries to the driver at most; the rest is counted."""


@dataclass(frozen=True)
class Note:
    """A warning or an error that a worker logged.

    Attributes:
        logger: Name of the logger.
        level: ``logging`` level.
        message: The text, formatted.
    """

    logger: str
    level: int
    message: str


@dataclass(frozen=True)
class Identity:
    """Who a worker is: enough to name it in the trail and to end exactly this process.

    Attributes:
        host: Host name.
        pid: Process id on that host.
        started: Start time of the process in seconds since its host started; pids are used again.
    """

    host: str
    pid: int
    started: float

    @property
    def name(self) -> str:
        """``host:pid``, as outcomes carry it."""
        return f"{self.host}:{self.pid}"


@dataclass(frozen=True)
class OpenAnswer:
    """What a worker says when it was asked to open its evaluator.

    Attributes:
        absent: Names of what it cannot see on its node; it is not open then.
        notes: What it logged.
    """

    absent: tuple[str, ...]
    notes: list[Note]


class WorkerProcess:
    """Runs inside a worker; the pool makes it an actor.

    Warnings that are logged travel with each answer, because a worker's own output
    goes to a file that nobody reads.
    """

    def __init__(self) -> None:
        self._notes = _NoteHandler()
        logging.captureWarnings(True)
        logging.getLogger().addHandler(self._notes)
        self._identity = Identity(
            host=socket.gethostname(), pid=os.getpid(), started=process_start.started()
        )
        trust_threads()
        self._evaluator: RequestEvaluator | None = None
        self._node_files: NodeFiles | None = None

    def hello(self) -> Identity:
        """Return who this is."""
        return self._identity

    def open(
        self,
        factory: EvaluatorFactory,
        limit_bytes: int | None = None,
        stocks: Sequence[Stock] = (),
        delivery: Delivery | None = None,
    ) -> OpenAnswer:
        """Make and open the evaluator, with a limit on this process's private memory.

        Args:
            factory: Makes the evaluator.
            limit_bytes: The limit; None for none.
            stocks: What the evaluator reads, as the driver sees it.
            delivery: Of these, what this node said that it lacks.
        """
        brought = {parcel.name for parcel in delivery.parcels} if delivery else ()
        absent = tuple(
            stock.name for stock in stocks if stock.name not in brought and not stock.is_here()
        )
        if absent:
            return OpenAnswer(absent, [])
        if limit_bytes is not None:
            limit_data(limit_bytes)
        if delivery is not None:
            self._node_files = NodeFiles()
            factory = moved(factory, self._node_files.bring(delivery))
        self._evaluator = factory()
        self._evaluator.open()
        return OpenAnswer((), self._notes.take())

    def evaluate(self, request: EvaluationRequest) -> tuple[Outcome, list[Note]]:
        """Evaluate a request; never raises for what an evaluator does."""
        assert self._evaluator is not None, "the pool opens a worker before it sends a request"
        outcome = evaluate_safely(self._evaluator, request, self._identity.name)
        return outcome, self._notes.take()

    def close(self) -> None:
        """Close the evaluator, so that it removes its files."""
        evaluator, self._evaluator = self._evaluator, None
        if evaluator is not None:
            evaluator.close()
        if self._node_files is not None:
            self._node_files.leave()


class _NoteHandler(logging.Handler):
    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self._kept: list[Note] = []
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._kept) < MAX_NOTES:
            self._kept.append(Note(record.name, record.levelno, record.getMessage()))
        else:
            self._dropped += 1

    def take(self) -> list[Note]:
        notes, self._kept = self._kept, []
        if self._dropped:
            text = f"{self._dropped} more warnings were dropped"
            notes.append(Note(__name__, logging.WARNING, text))
            self._dropped = 0
        return notes
