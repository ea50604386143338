"""Runs that are slow enough for their database to be disturbed in the middle."""

from __future__ import annotations

from typing import Any

import optuna

NEVER = {"v": {"value": 1000.0}}
SLOW = [
    {
        "sql": "create or replace table result as select {{ var('x') }} * 10"
        " + (select value from levers) + (select 0 * sum(hash(range) % 7) from range(30000000))"
        " as v"
    }
]
"""A step of about a third of a second."""
WORDS = ("--workers", "0", "--set", "search.max_iterations=1", "--set", "search.batch_size=6")


def trials(url: str, study: str) -> list[tuple[Any, ...]]:
    """Return what counts of a stored study's trials."""
    stored = optuna.load_study(study_name=study, storage=url).trials
    return [(one.number, one.state.name, one.params, one.values) for one in stored]
