"""A study's news on a terminal, or as plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from search.driver.progress import Standing, TrialNews
from search.views.news import standing_line, trial_line


class PlainProgress:
    """Plain lines with the seconds since the start, for pipes and logs.

    Args:
        stream: Where to write; stderr by default, because stdout is for the result.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._started = clock()
        self._last: tuple[int, int] | None = None

    def note(self, line: str) -> None:
        """Write the line."""
        self._stream.write(f"[{self._clock() - self._started:7.1f} s] {line}\n")
        self._stream.flush()

    def trial(self, news: TrialNews) -> None:
        """Write how the trial ended."""
        self.note(trial_line(news))

    def standing(self, standing: Standing) -> None:
        """Write where the study stands when an iteration starts or ends."""
        mark = (standing.iteration, standing.done)
        if standing.done in (0, standing.size) and mark != self._last:
            self._last = mark
            self.note(standing_line(standing))


class LiveProgress:
    """Lines that scroll, above one line that stays: for terminals."""

    def __init__(self, stream: TextIO | None = None) -> None:
        from rich.console import Console
        from rich.status import Status

        self._console = Console(file=stream or sys.stderr, highlight=False)
        self._status = Status("starting", console=self._console)
        self._started = time.monotonic()

    def __enter__(self) -> LiveProgress:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def note(self, line: str) -> None:
        """Print the line above the status."""
        self._print(line)
        self._status.update(_escape(line.strip()))

    def trial(self, news: TrialNews) -> None:
        """Print how the trial ended."""
        self._print(trial_line(news))

    def standing(self, standing: Standing) -> None:
        """Update the status line."""
        self._status.update(_escape(standing_line(standing)))

    def _print(self, line: str) -> None:
        seconds = time.monotonic() - self._started
        self._console.print(_escape(f"[{seconds:7.1f} s] {line}"), soft_wrap=True)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
