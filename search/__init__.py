"""Find the parameters that make a dbt-on-DuckDB simulation hit its targets.

    import search

    study = search.load_study("configs/quick.yaml")
    result = search.run_study(study, on_progress=print)
    result.best.parameters, result.trials.df()

What is listed in ``__all__`` is the public API and stays; the rooms below it are private. Names are
imported when they are first used, so ``import search`` costs nothing.
"""

from __future__ import annotations

import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # `python -m search` looks into the working folder first, and people keep files there that are
    # called random.py or yaml.py. Before anything else is imported:
    del sys.path[0]

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.api.calls import compare, evaluate, load_study, run_study
    from search.api.results import Alternative, StudyResult, TargetOutcome, Winner, open_results
    from search.audit.reader import AuditReader
    from search.errors import SearchError
    from search.sampling.target import TargetSampler
    from search.study.ranking import loss
    from search.study.targets import Goal, verdict

_HOMES = {
    "load_study": "search.api.calls",
    "run_study": "search.api.calls",
    "evaluate": "search.api.calls",
    "compare": "search.api.calls",
    "StudyResult": "search.api.results",
    "Winner": "search.api.results",
    "TargetOutcome": "search.api.results",
    "Alternative": "search.api.results",
    "open_results": "search.api.results",
    "AuditReader": "search.audit.reader",
    "SearchError": "search.errors",
    "TargetSampler": "search.sampling.target",
    "Goal": "search.study.targets",
    "loss": "search.study.ranking",
    "verdict": "search.study.targets",
}

__all__ = [
    "Alternative",
    "AuditReader",
    "Goal",
    "SearchError",
    "StudyResult",
    "TargetOutcome",
    "TargetSampler",
    "Winner",
    "__version__",
    "compare",
    "errors",
    "evaluate",
    "load_study",
    "loss",
    "open_results",
    "run_study",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("scenario-search")
    if name == "errors":
        return importlib.import_module("search.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'search' has no attribute {name!r}; it has {__all__}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *globals()])
