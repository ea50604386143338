"""How long a helper process may stay at one thing before it counts as hanging."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from search.errors import SearchError

Place = Callable[[], tuple[str, int] | None]
"""Says what a process is at: a name for people, and a number that changes with it."""

TOLD_EVERY_SECONDS = 1.0
"""How often a helper process tells what it is at."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for a helper process that does not get on.

    Attributes:
        seconds: The longest stay at one thing; None for no limit.
        place: Module-level function that the helper process asks once a second.
        overdue: Makes the error of what was stayed at, if that is known, and the limit.
    """

    seconds: float | None
    place: Place
    overdue: Callable[[str | None, float], SearchError]


class Stay:
    """How long a helper process has been at what it is at.

    Args:
        patience: How long it may; None for no limit.
    """

    def __init__(self, patience: Patience | None) -> None:
        self._patience = patience
        self._place: tuple[str, int] | None = None
        self._since = time.monotonic()

    @property
    def at(self) -> str | None:
        """What it is at, if that is known."""
        return self._place[0] if self._place else None

    def is_at(self, place: tuple[str, int] | None) -> None:
        """Take in what the process says."""
        if place != self._place:
            self._place = place
            self.gets_on()

    def gets_on(self) -> None:
        """Begin to count anew."""
        self._since = time.monotonic()

    def check(self) -> None:
        """Raise what ``overdue`` makes, when the process has stayed for too long."""
        if self._patience is None or self._patience.seconds is None:
            return
        if time.monotonic() - self._since > self._patience.seconds:
            raise self._patience.overdue(self.at, self._patience.seconds)
