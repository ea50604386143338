"""What this process is at, for whoever waits for it: dbt's node, or the study's SQL by its key.

Asked by a thread beside the one that works, so it needs no help of what may hang: an endless loop
of a template gives nobody a word.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from search.errors import PreparationTimeoutError, SearchError
from search.system.patience import Patience

_NODES = ("node", "parsed_node", "model", "manifest_node", "compiled_node")
"""Names under which dbt keeps what it parses, compiles or runs."""
_OWN_SQL = "render_sql"
"""Our function that renders the study's SQL; ``key`` is where that stands in the study file."""


def place() -> tuple[str, int] | None:
    """Return what some thread of this process is at, and a number that changes with it.

    Returns:
        dbt's id of the node, or the key of the study file; None when it is at neither.
    """
    for frame in sys._current_frames().values():
        if (known := _place_of(frame)) is not None:
            return known
    return None


def patience(seconds: float | None) -> Patience:
    """Return how long to wait for a process that prepares a scenario or lets dbt evaluate it.

    Args:
        seconds: The longest stay at one node or one SQL of the study; None for no limit.
    """
    return Patience(seconds, place, overdue)


def overdue(at: str | None, seconds: float) -> SearchError:
    """Return the error for what stays at one thing for too long."""
    what = at or "preparing the scenario"
    return PreparationTimeoutError(
        f"{what} must be done within {seconds:g} s, but it is not and was ended; look for a loop "
        "or a query without end there, or raise search.prepare_timeout"
    )


def _place_of(innermost: FrameType | None) -> tuple[str, int] | None:
    frame = innermost
    while frame is not None:
        names = frame.f_code.co_varnames
        if frame.f_code.co_name == _OWN_SQL and (key := frame.f_locals.get("key")):
            return str(key), id(frame)
        if any(name in names for name in _NODES) and "/dbt/" in frame.f_code.co_filename:
            values = frame.f_locals
            for name in _NODES:
                if (unique_id := _id_of(values.get(name))) is not None:
                    return unique_id, id(values[name])
        frame = frame.f_back
    return None


def _id_of(node: Any) -> str | None:
    unique_id = getattr(node, "unique_id", None)
    return unique_id if isinstance(unique_id, str) else None
