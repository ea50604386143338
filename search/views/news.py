"""News of a running study as lines."""

from __future__ import annotations

from collections.abc import Mapping

from search.driver.progress import Standing, TrialNews
from search.views.text import duration_text


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
