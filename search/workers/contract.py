"""What every worker pool promises, and the few things that all pools share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, Self

from search.scenario.outcome import EvaluationRequest, Failure, Outcome

OUT_OF_MEMORY_ADVICE = (
    "give a worker more: raise resources.memory_budget or lower resources.workers"
)


class RequestEvaluator(Protocol):
    """Turns requests into outcomes: all that a pool needs of ``search.scenario.evaluator``."""

    def open(self) -> None:
        """Prepare what all evaluations share."""

    def evaluate(self, request: EvaluationRequest) -> Outcome:
        """Evaluate a candidate and return its outcome, also when the scenario fails."""

    def close(self) -> None:
        """Release and remove everything. May be called twice."""


EvaluatorFactory = Callable[[], RequestEvaluator]
"""Makes an evaluator, not opened yet. Travels to workers by pickle."""


@dataclass(frozen=True)
class ClusterLimits:
    """How a pool spreads over the nodes of a cluster.

    Attributes:
        min_workers: Workers that must find a place for the pool to work; the others join as
            there is room. All when None.
        workers_per_node: Workers that a node may hold: what its memory is shared out for. No
            limit when None.
    """

    min_workers: int | None = None
    workers_per_node: int | None = None


class WorkerPool(ABC):
    """Evaluates requests, each exactly once as far as its caller can tell.

    Life: ``start`` (as early as possible), ``open`` (once the scenario is prepared),
    any number of ``submit`` and ``next_outcome``, ``close`` in a ``finally``. As a
    context manager a pool starts and closes itself.

    Obligations of an implementation:

    * Each submitted request yields exactly one outcome, possibly a failed one, in the
      order in which they complete.
    * An unexpected exception of an evaluator is an outcome with a failure of stage
      ``worker``, never an exception of ``next_outcome``.
    * A failure whose ``is_retryable`` is true, and the death of a worker, is answered by
      trying the request again, at most ``retries`` times, with ``attempt`` counted up;
      a dead worker is replaced first.
    * Waiting ends at once when an outcome arrives, and exceptions from signal handlers
      or other threads arrive within one second.
    * After ``close`` nothing that the pool started runs, and nothing of it is left on disk.
    """

    @abstractmethod
    def start(self) -> None:
        """Begin what takes long and needs no evaluator, and return at once. May be repeated."""

    @abstractmethod
    def open(self, factory: EvaluatorFactory) -> None:
        """Give the workers their evaluator; must precede the first ``submit``.

        May be called again, with nothing in flight, to go on with another evaluator.

        Args:
            factory: Makes an evaluator inside a worker; picklable.

        Raises:
            WorkerError: If the pool could not start, or requests are in flight.
        """

    @abstractmethod
    def submit(self, request: EvaluationRequest) -> None:
        """Queue a request for the next free worker, and return at once.

        Raises:
            WorkerError: If the pool is not open.
        """

    @abstractmethod
    def next_outcome(self, timeout_seconds: float | None = None) -> Outcome | None:
        """Wait for the next outcome.

        Args:
            timeout_seconds: The longest wait; None waits as long as something is in flight.

        Returns:
            The outcome, or None when time ran out or nothing is in flight.

        Raises:
            WorkerError: If workers cannot be started or kept alive.
            SearchError: If an evaluator cannot be opened; it would fail for every request.
        """

    def ready_outcome(self) -> Outcome | None:
        """Return an outcome that has come in already; None, without waiting, when none has.

        A driver takes these along with the one that it waited for and stores all at once. A
        pool that evaluates when it is asked never has one.
        """
        return None

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """Requests submitted whose outcome ``next_outcome`` has not returned yet."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many requests are evaluated at the same time."""

    @abstractmethod
    def close(self) -> None:
        """End everything that runs and remove what is on disk. May be called twice."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Ticket:
    """A request on its way, and how often it may be tried again.

    Attributes:
        request: What to evaluate; its ``attempt`` is that of the next try.
        retries_left: Tries that remain after this one.
        is_alone: Whether nothing else may be evaluated meanwhile.
    """

    request: EvaluationRequest
    retries_left: int
    is_alone: bool = False

    def alone(self) -> Ticket:
        """Return the ticket of a last attempt, with nothing beside it."""
        request = replace(self.request, attempt=self.request.attempt + 1)
        return Ticket(request, retries_left=0, is_alone=True)

    def again(self) -> Ticket | None:
        """Return the ticket of the next attempt, or None when there is none left.

        Example:
            >>> first = Ticket(EvaluationRequest(trial=0, values={}), retries_left=1)
            >>> first.again().request.attempt, first.again().again()
            (2, None)
        """
        if self.retries_left < 1:
            return None
        request = replace(self.request, attempt=self.request.attempt + 1)
        return Ticket(request, self.retries_left - 1)

    def after(self, outcome: Outcome) -> Ticket | None:
        """Return the ticket of another attempt if the outcome calls for one, else None."""
        is_retryable = outcome.failure is not None and outcome.failure.is_retryable
        return self.again() if is_retryable else None


def evaluate_safely(
    evaluator: RequestEvaluator, request: EvaluationRequest, worker: str
) -> Outcome:
    """Return the evaluator's outcome; an exception that it should not raise becomes a failure.

    Args:
        evaluator: An opened evaluator.
        request: What to evaluate.
        worker: Name of this process for the trail, ``host:pid``.
    """
    try:
        return evaluator.evaluate(request)
    except MemoryError:
        message = f"the evaluation took more memory than its worker may; {OUT_OF_MEMORY_ADVICE}"
        return Outcome(
            request=request, failure=Failure(stage="memory", message=message), worker=worker
        )
    except Exception as error:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        message = f"the evaluator must not raise, but it did: {text}"
        return Outcome(
            request=request, failure=Failure(stage="worker", message=message), worker=worker
        )
