"""What a running study tells the person who waits for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from search.scenario.outcome import Outcome


@dataclass(frozen=True)
class TrialNews:
    """A trial has ended.

    Attributes:
        iteration: Its iteration, from 0 (the current parameters).
        outcome: What came of it.
        variances: Relative distance of each target's metric; empty when it failed.
        shown: Where each goal's metric stands, for people.
        is_met: Whether all targets are met.
        is_best: Whether it is the best trial so far.
    """

    iteration: int
    outcome: Outcome
    variances: Mapping[str, float]
    is_met: bool
    is_best: bool
    shown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """Where a study stands.

    Attributes:
        iteration: The running iteration.
        max_iterations: The last one.
        done: Trials of this iteration that ended.
        size: Trials of this iteration.
        trials: Trials of the study that ended.
        failed: Those of them that failed.
        best_variances: Variance of each target at the best trial so far.
        seconds_left: Estimate until the last iteration ends; None while nothing is known.
        best_shown: Where each goal's metric stands there, for people.
    """

    iteration: int
    max_iterations: int
    done: int
    size: int
    trials: int
    failed: int
    best_variances: Mapping[str, float]
    seconds_left: float | None
    best_shown: Mapping[str, str] = field(default_factory=dict)


class Progress(Protocol):
    """Receives a study's news; implementations show them somewhere."""

    def note(self, line: str) -> None:
        """Take a line about what is going on."""

    def trial(self, news: TrialNews) -> None:
        """Take the end of a trial."""

    def standing(self, standing: Standing) -> None:
        """Take where the study stands; called often."""


class SilentProgress:
    """Shows nothing."""

    def note(self, line: str) -> None:
        """Take a line about what is going on."""

    def trial(self, news: TrialNews) -> None:
        """Take the end of a trial."""

    def standing(self, standing: Standing) -> None:
        """Take where the study stands."""


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


def trial_line(news: TrialNews) -> str:
    """Return one line about a trial that ended."""
    outcome = news.outcome
    head = f"iteration {news.iteration}: trial {outcome.request.trial}"
    if outcome.failure is not None:
        where = ", ".join(x for x in (outcome.failure.step, outcome.failure.model) if x)
        at = f" at {where}" if where else ""
        return f"{head} failed{at} ({outcome.failure.stage}): {outcome.failure.message}"
    mark = " - all targets met" if news.is_met else " - best so far" if news.is_best else ""
    return f"{head} done in {outcome.seconds:.1f} s: {_standing_text(news.shown)}{mark}"


def standing_line(standing: Standing) -> str:
    """Return one line about where a study stands."""
    parts = [f"iteration {standing.iteration}/{standing.max_iterations}"]
    parts.append(f"{standing.done}/{standing.size} trials done")
    if standing.failed:
        parts.append(f"{standing.failed} of {standing.trials} failed")
    if standing.best_shown:
        parts.append(f"best: {_standing_text(standing.best_shown)}")
    if standing.seconds_left is not None:
        parts.append(f"at most {duration_text(standing.seconds_left)} left")
    return ", ".join(parts)


def _standing_text(shown: Mapping[str, str]) -> str:
    return ", ".join(f"{metric} {text}" for metric, text in shown.items())


def duration_text(seconds: float) -> str:
    """Return a duration for people.

    Example:
        >>> duration_text(42.4), duration_text(95), duration_text(7260)
        ('42 s', '1 min 35 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def table_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as aligned plain text; columns of numbers are aligned right.

    Example:
        >>> print(table_text(["name", "value"], [["a", "1.0"], ["bb", "12.0"]]))
        name  value
        a       1.0
        bb     12.0
    """
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _is_number(text: str) -> bool:
    return text in ("", "-") or text[0].isdigit() or (text[0] in "+-" and len(text) > 1)
