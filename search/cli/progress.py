"""A study's news on a terminal, or as plain lines in a pipe."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from search.driver.progress import Standing, TrialNews
from search.views.live import LiveView
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
    """A panel that stays, with what matters; warnings and tables scroll above it.

    Args:
        stream: Where to draw; stderr by default.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        self._view = LiveView()
        self._clock = clock
        self._started = clock()
        self._console = Console(
            file=stream or sys.stderr, highlight=False, no_color=bool(os.environ.get("NO_COLOR"))
        )
        self._live = Live(
            console=self._console, get_renderable=self.panel, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def panel(self) -> Any:
        """Return what stands on the terminal now."""
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, text in self._view.rows(self._clock() - self._started):
            style = "green" if name == "meets every target" else ""
            grid.add_row(name, Text(text, style=style))
        return Panel(grid, title="scenario-search", title_align="left", border_style="dim")

    def note(self, line: str) -> None:
        """Show what is going on; a warning stays."""
        if self._view.take_note(line):
            self._print(line)

    def trial(self, news: TrialNews) -> None:
        """Show how the trial ended."""
        self._view.take_trial(news)

    def standing(self, standing: Standing) -> None:
        """Show where the study stands."""
        self._view.take_standing(standing)

    def _print(self, line: str) -> None:
        from rich.text import Text

        style = "yellow" if line.startswith(("warning:", "ERROR")) else ""
        self._console.print(Text(line, style=style), soft_wrap=True)
