"""When a run did what: kept beside its results, shown by ``explain --timing``."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.driver.progress import Progress, Standing, TrialNews
from search.system import files

FORMAT_VERSION = 1


class Timeline:
    """A progress that remembers when each line was told, and passes it on.

    Args:
        progress: Takes the news.
        clock: Seconds, monotonic.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._progress = progress
        self._clock = clock
        self._started, self._started_at = clock(), now()
        self._marks: list[tuple[float, str]] = []
        self._evaluations: list[tuple[str, float, float]] = []

    def note(self, line: str) -> None:
        """Take a line about what is going on."""
        self._marks.append((round(self._clock() - self._started, 3), line))
        self._progress.note(line)

    def trial(self, news: TrialNews) -> None:
        """Take the end of a trial."""
        outcome = news.outcome
        begin = (outcome.started_at or 0.0) - self._started_at
        if begin >= 0:  # of this run, and not out of a cache
            # It has ended by now, however the calendar was set meanwhile.
            end = min(begin + outcome.seconds, self._clock() - self._started)
            begin = max(0.0, end - outcome.seconds)
            self._evaluations.append((outcome.worker, round(begin, 3), round(end, 3)))
        self._progress.trial(news)

    def standing(self, standing: Standing) -> None:
        """Take where the study stands."""
        self._progress.standing(standing)

    def document(self) -> dict[str, Any]:
        """Return the timeline as JSON-safe values; times are seconds since the start."""
        return {
            "format_version": FORMAT_VERSION,
            "started_at": datetime.fromtimestamp(self._started_at, UTC).isoformat(),
            "seconds": round(self._clock() - self._started, 3),
            "marks": [list(mark) for mark in self._marks],
            "evaluations": [list(evaluation) for evaluation in self._evaluations],
        }

    def keep(self, file: Path) -> None:
        """Write the timeline in place of the one of the run before; a full disk is no failure."""
        with contextlib.suppress(OSError):
            if file.parent.is_dir():
                files.write_durably(file, json.dumps(self.document()).encode())


def read_timeline(file: Path) -> dict[str, Any] | None:
    """Return the timeline of the last run; None when there is none that can be read."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return dict(document) if document["format_version"] == FORMAT_VERSION else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
