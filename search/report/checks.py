"""What the checks of the study file showed of its data, as the report has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from search.report.page import Row, cell, section, small, table, wide
from search.report.render import part
from search.views.checks import check_title


def checks_section(tables: Sequence[Mapping[str, Any]]) -> Markup:
    """Return the tables, each under its title; empty when no check shows any."""
    parts = []
    for shown in tables:
        is_text = [
            not all(_is_number(row[place]) for row in shown["rows"])
            for place in range(len(shown["columns"]))
        ]
        heads = list(zip(shown["columns"], is_text, strict=True))
        rows = [
            Row([cell(value, is_text=text) for value, text in zip(row, is_text, strict=True)])
            for row in shown["rows"]
        ]
        parts.append(part("subtitle", check_title(shown)))
        parts.append(wide(table(heads, rows)))
        if not shown["rows"]:
            parts.append(small("No rows."))
        if shown["is_cut"]:
            parts.append(small("There are more rows."))
    return section("checks", "The data before the search", *parts) if parts else Markup()


def _is_number(text: str) -> bool:
    return text == "" or text.lstrip("+-")[:1].isdigit()
