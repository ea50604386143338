"""What a study's checks show of its data, as text; one form for all who show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search.views.text import table_text


def check_text(table: Mapping[str, Any]) -> str:
    """Return the table of one check, as ``CheckTable.document`` has it, under its title.

    Example:
        >>> print(check_text({"name": "people", "message": None, "columns": ["level", "people"],
        ...                   "rows": [["1", "720"], ["2", "80"]], "is_cut": False}))
        check people
        level  people
            1     720
            2      80
    """
    rows: Sequence[Sequence[str]] = table["rows"]
    body = table_text(table["columns"], rows) if rows else "(no rows)"
    return "\n".join([check_title(table), body, *(["(and more)"] if table["is_cut"] else [])])


def check_title(table: Mapping[str, Any]) -> str:
    """Return what a check's table is about: its message, or its name alone."""
    return f"check {table['name']}" + (f": {table['message']}" if table["message"] else "")
