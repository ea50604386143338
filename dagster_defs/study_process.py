"""A study in a process of its own, so that cancelling a Dagster run ends all of it at once.

Dagster raises its cancellation inside the thread that waits here. Leaving the wait tells the
process to stop, which saves the study's state and ends Ray; one that does not stop within
seconds is killed, and Ray's processes with it, because they die with the process that
started them.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.cli.progress import PlainProgress
from search.commands.frontier import find_frontier
from search.commands.run import RunOptions, run_study
from search.driver.frontier import FrontierResult
from search.driver.progress import Standing, TrialNews
from search.driver.results import RunResult
from search.study import StudySpec
from search.system.child import run_in_child
from search.system.interrupt import end_in_order_on_signals

News = str | TrialNews | Standing
"""A line for a person, the end of a trial, or where the study stands."""


def run_study_in_child(
    spec: StudySpec, options: RunOptions, take: Callable[[News], None]
) -> RunResult:
    """Run a study in a child process and return its result.

    Args:
        spec: The study.
        options: Where results go, and whether to start anew.
        take: Called here with each piece of news. What the child prints goes to this
            process's stderr.

    Raises:
        SearchError: Whatever the study raised, or ``WorkerError`` if the child died.
    """
    result: RunResult = run_in_child(
        _study, spec, options, report=take, is_stderr_shared=True, stop_seconds=STOP_SECONDS
    )
    return result


def find_frontier_in_child(
    spec: StudySpec, texts: Sequence[str], results: Path, take: Callable[[str], None]
) -> FrontierResult:
    """Solve a study's frontier in a child process and return it.

    Args:
        spec: The study.
        texts: What is varied, each ``metric=low:high:count``.
        results: Folder of all results.
        take: Called here with each line of news.

    Raises:
        SearchError: Whatever it raised, or ``WorkerError`` if the child died.
    """
    result: FrontierResult = run_in_child(
        _frontier,
        spec,
        tuple(texts),
        results,
        report=lambda news: take(news) if isinstance(news, str) else None,
        is_stderr_shared=True,
        stop_seconds=STOP_SECONDS,
    )
    return result


def _frontier(
    spec: StudySpec, texts: Sequence[str], results: Path, *, report: Callable[[News], None]
) -> FrontierResult:
    end_in_order_on_signals()
    progress = _Relay(report, PlainProgress())
    result = find_frontier(spec, texts, results=results, progress=progress)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return result


STOP_SECONDS = 6.0
"""How long a stopped study gets to save its state and end Ray."""


def _study(spec: StudySpec, options: RunOptions, *, report: Callable[[News], None]) -> RunResult:
    """Be the child: a request to stop is an interrupt, as Ctrl-C is for the command line."""
    end_in_order_on_signals()
    result = run_study(spec, options, _Relay(report, PlainProgress()))
    # Everything is saved and closed: the parent may end this process once it has the result.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return result


@dataclass
class _Relay:
    """Tells the parent, and writes lines for the step's output.

    Attributes:
        report: Sends a piece of news to the parent.
        lines: Writes it for a person.
    """

    report: Callable[[Any], None]
    lines: PlainProgress

    def note(self, line: str) -> None:
        """Pass a line on."""
        self.lines.note(line)
        self.report(line)

    def trial(self, news: TrialNews) -> None:
        """Pass the end of a trial on."""
        self.lines.trial(news)
        self.report(news)

    def standing(self, standing: Standing) -> None:
        """Pass on where the study stands."""
        self.lines.standing(standing)
        self.report(standing)
