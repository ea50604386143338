"""Events of trials whose driver died before it could write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from search.audit.records import TrialEvent
from search.storage.trials import StoredTrial

FINISHED = "trial_finished"
DISPATCHED = "trial_dispatched"


def missing_endings(
    trials: Sequence[FrozenTrial], events: Iterable[TrialEvent], study: str
) -> list[tuple[str, dict[str, Any]]]:
    """Return the ``trial_finished`` events that the log lacks for trials that have ended.

    Args:
        trials: Of the study, from the storage.
        events: The log.
        study: The study's name in the storage.
    """
    told = {event.trial for event in events if event.kind == FINISHED and event.study == study}
    return [
        (FINISHED, {**ending(trial), "is_recovered": True})
        for trial in trials
        if trial.state.is_finished() and trial.number not in told
    ]


def ending(trial: FrozenTrial) -> dict[str, Any]:
    """Return what the event of a trial's end says about it."""
    read = StoredTrial(trial)
    return {
        "trial": read.number,
        "iteration": read.iteration,
        "metrics": read.metrics,
        "failure": read.failure.message,
    }
