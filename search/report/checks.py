"""What the checks of the study file showed of its data, as the report has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from search.report.page import cell, section, table
from search.report.plots import tag
from search.report.render import joined
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
            tag(
                "tr",
                joined(
                    cell(escape(one), is_text=text) for one, text in zip(row, is_text, strict=True)
                ),
            )
            for row in shown["rows"]
        ]
        parts.append(tag("h3", escape(check_title(shown))))
        parts.append(tag("div", table(heads, rows), class_="wide"))
        if not shown["rows"]:
            parts.append(tag("p", "No rows.", class_="soft small"))
        if shown["is_cut"]:
            parts.append(tag("p", "There are more rows.", class_="soft small"))
    return section("checks", "The data before the search", *parts) if parts else Markup()


def _is_number(text: str) -> bool:
    return text == "" or text.lstrip("+-")[:1].isdigit()
