"""Which waiting candidate goes to which worker: in order, retries first, and some alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from search.workers.contract import Ticket


class Placement:
    """The candidates that wait for a worker.

    What is tried again goes first: its worker died, and the others must not wait longer for an
    iteration to end. What broke the memory budget goes last, and with nothing beside it.
    """

    def __init__(self) -> None:
        self._waiting: deque[Ticket] = deque()
        self._alone: deque[Ticket] = deque()

    def __len__(self) -> int:
        """Return how many candidates wait."""
        return len(self._waiting) + len(self._alone)

    def add(self, ticket: Ticket) -> None:
        """Let a candidate wait behind the others."""
        self._waiting.append(ticket)

    def add_first(self, ticket: Ticket) -> None:
        """Let a candidate wait that was under way already: it is the next."""
        self._waiting.appendleft(ticket)

    def set_aside(self, ticket: Ticket) -> None:
        """Let a candidate wait until nothing else waits or runs."""
        self._alone.append(ticket)

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._alone.clear()

    def next_tickets(self, running: Sequence[Ticket], *, idle: int) -> Iterable[Ticket]:
        """Return what idle workers evaluate now; it waits no longer.

        Args:
            running: What is being evaluated.
            idle: How many workers have nothing to do.

        Example:
            >>> from search.scenario.outcome import EvaluationRequest
            >>> first, second = (
            ...     Ticket(EvaluationRequest(trial=trial, values={}), retries_left=1)
            ...     for trial in (0, 1)
            ... )
            >>> placement = Placement()
            >>> placement.add(first)
            >>> placement.set_aside(second.alone())
            >>> [ticket.request.trial for ticket in placement.next_tickets([], idle=2)]
            [0]
            >>> placement.next_tickets([first], idle=1)
            []
            >>> [ticket.request.trial for ticket in placement.next_tickets([], idle=2)]
            [1]
        """
        if any(ticket.is_alone for ticket in running):
            return []
        if self._alone and not self._waiting and not running and idle:
            return [self._alone.popleft()]
        return [self._waiting.popleft() for _ in range(min(idle, len(self._waiting)))]
