"""A running study as Dagster shows it: log lines, and an observation for each iteration."""

from __future__ import annotations

import json
import statistics
from typing import Any

import dagster as dg

from dagster_defs.study_process import News
from search.driver.progress import Standing, TrialNews
from search.views.news import standing_line, trial_line


class StudyObserver:
    """Takes a study's news and writes it to the run of an asset.

    Args:
        context: Of the asset's step; the observations belong to its partition.
    """

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._context = context
        self._trials: list[TrialNews] = []
        self._best: TrialNews | None = None
        self._observed = -1

    def take(self, news: News) -> None:
        """Write a piece of news."""
        if isinstance(news, TrialNews):
            self._take_trial(news)
        elif isinstance(news, Standing):
            self._take_standing(news)
        else:
            self._context.log.info(news)

    def _take_trial(self, news: TrialNews) -> None:
        self._trials.append(news)
        self._best = news if news.is_best else self._best
        write = self._context.log.info if news.outcome.is_complete else self._context.log.warning
        write(f"{trial_line(news)}\n{json.dumps(trial_document(news))}")

    def _take_standing(self, standing: Standing) -> None:
        """Observe an iteration once: when its last trial has ended, or the next one begins."""
        is_whole = standing.done >= standing.size
        iteration = standing.iteration if is_whole else standing.iteration - 1
        ended = [trial for trial in self._trials if trial.iteration == iteration]
        if iteration <= self._observed or not ended:
            return
        self._observed = iteration
        self._context.log.info(standing_line(standing))
        self._context.log_event(
            dg.AssetObservation(
                asset_key=self._context.asset_key,
                partition=self._context.partition_key if self._context.has_partition_key else None,
                description=standing_line(standing),
                metadata=iteration_metadata(iteration, standing, ended, self._best),
            )
        )


def trial_document(news: TrialNews) -> dict[str, Any]:
    """Return a trial for machines that read the log."""
    outcome = news.outcome
    return {
        "trial": outcome.request.trial,
        "iteration": news.iteration,
        "state": "complete" if outcome.is_complete else "failed",
        "parameters": dict(outcome.request.values),
        "metrics": dict(outcome.metrics),
        "variances": dict(news.variances),
        "is_met": news.is_met,
        "seconds": round(outcome.seconds, 3),
        "peak_memory_bytes": outcome.peak_memory_bytes,
        "worker": outcome.worker,
        "error": outcome.failure.message if outcome.failure else None,
    }


def iteration_metadata(
    iteration: int, standing: Standing, trials: list[TrialNews], best: TrialNews | None
) -> dict[str, Any]:
    """Return what an observation says; numbers become plots in the UI.

    Args:
        iteration: The iteration that ended; 0 is the current parameters.
        standing: Where the study stands after it.
        trials: The iteration's trials that ended in this run.
        best: The best trial of this run; None when an earlier run's is better.
    """
    seconds = [finished.outcome.seconds for finished in trials if finished.outcome.is_complete]
    memory = [finished.outcome.peak_memory_bytes for finished in trials]
    metadata: dict[str, Any] = {
        "iteration": iteration,
        "trials complete": standing.trials - standing.failed,
        "trials failed": standing.failed,
        "seconds a candidate": round(statistics.median(seconds), 3) if seconds else None,
        "worker memory MB": round(max(memory) / 1e6, 1) if any(memory) else None,
    }
    for name, variance in standing.best_variances.items():
        metadata[f"variance {name}"] = float(variance)
    if best is not None:
        metadata["best trial"] = best.outcome.request.trial
        metadata["best parameters"] = dg.MetadataValue.json(dict(best.outcome.request.values))
    return {name: value for name, value in metadata.items() if value is not None}
