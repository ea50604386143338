"""What a person sees while a study runs: a few lines that stay in place."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from search.driver.progress import Standing, TrialNews
from search.views.news import trial_line
from search.views.text import counted, duration_text

KEPT = 4
"""Trials that are listed, the latest."""


@dataclass
class LiveView:
    """The state of a running study, from its news.

    Attributes:
        now: What is being done.
        standing: Where the study stands; None before the first iteration.
        trials: The latest trials, a line each.
        best: Where each goal's metric stands at the best trial.
        is_met: Whether that one meets every target.
    """

    now: str = "starting"
    standing: Standing | None = None
    trials: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    best: Mapping[str, str] = field(default_factory=dict)
    is_met: bool = False

    def take_note(self, line: str) -> bool:
        """Take a line; return whether it should stand above the panel for good: a warning."""
        if line.startswith(("warning:", "ERROR")):
            return True
        self.now = line.strip().splitlines()[0] if line.strip() else self.now
        # A table of the study's checks is read once and kept.
        return len(line.splitlines()) > 1

    def take_trial(self, news: TrialNews) -> None:
        """Take the end of a trial."""
        self.trials.append(trial_line(news))
        if news.is_best:
            self.best, self.is_met = news.shown, news.is_met

    def take_standing(self, standing: Standing) -> None:
        """Take where the study stands."""
        self.standing = standing
        if standing.best_shown:
            self.best = standing.best_shown

    def rows(self, seconds: float) -> list[tuple[str, str]]:
        """Return what stands in the panel: a name and a text each.

        Args:
            seconds: Since the start.
        """
        rows = []
        standing = self.standing
        if standing is not None:
            done = f"{standing.iteration} of {standing.max_iterations}, "
            done += f"{standing.done} of {standing.size} trials"
            failed = (
                f", {standing.failed} of {counted(standing.trials, 'trial')} failed"
                if standing.failed
                else ""
            )
            rows.append(("iteration", done + failed))
        if self.best:
            state = "meets every target" if self.is_met else "best so far"
            rows.append((state, "\n".join(f"{name} {text}" for name, text in self.best.items())))
        if self.trials:
            rows.append(("trials", "\n".join(self.trials)))
        rows.append(("now", self.now))
        left = "" if standing is None or standing.seconds_left is None else standing.seconds_left
        time = duration_text(seconds)
        if left != "":
            time += f", at most {duration_text(float(left))} of search left, then verification"
        rows.append(("time", time))
        return rows
