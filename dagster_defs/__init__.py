"""Dagster's view of scenario-search: assets, jobs, checks and sensors over ``search/``.

For a code location of one's own: ``study_assets``, ``study_definitions`` and ``StudyComponent``
(docs/dagster.md). They are imported when they are first used; what else stands here is private.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from search.system.packages import extra_missing

if TYPE_CHECKING:
    from dagster_defs.component import StudyComponent
    from dagster_defs.own import study_assets, study_definitions

_HOMES = {
    "study_assets": "dagster_defs.own",
    "study_definitions": "dagster_defs.own",
    "StudyComponent": "dagster_defs.component",
}

__all__ = ["StudyComponent", "study_assets", "study_definitions"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dagster_defs' has no attribute {name!r}; it has {__all__}")
    try:
        return getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        missing = extra_missing(error.name or "", f"dagster_defs.{name}")
        raise (missing or error) from error


def __dir__() -> list[str]:
    return sorted([*__all__, *globals()])
