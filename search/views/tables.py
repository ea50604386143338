"""The report's own tables: what the study's SQL says of today, the plan and the alternatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.study.figures import short_with_unit
from search.study.values import Scalar
from search.views.findings import Findings
from search.views.grid import Grid
from search.views.outcomes import side_names

Cell = Scalar | None


@dataclass(frozen=True)
class TableView:
    """A table of the report.

    Attributes:
        name: In the study file.
        title: For people.
        unit: Of the numbers that are compared; None without.
        chart: ``lines``, ``bars``, ``walk``, or None.
        keys: Columns that say which row is which; empty where only one plan is shown.
        sides: What the other columns are: plans, or the query's own columns.
        rows: Keys and then values.
        is_cut: Whether the query returned more rows.
    """

    name: str
    title: str
    unit: str | None
    chart: str | None
    keys: tuple[str, ...]
    sides: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    is_cut: bool = False

    @property
    def is_compared(self) -> bool:
        """Whether plans stand side by side."""
        return bool(self.keys)

    def groups(self) -> dict[tuple[Cell, ...], list[tuple[Cell, ...]]]:
        """Return the rows by all keys but the last, each without those."""
        depth = max(0, len(self.keys) - 1)
        grouped: dict[tuple[Cell, ...], list[tuple[Cell, ...]]] = {}
        for row in self.rows:
            grouped.setdefault(row[:depth], []).append(row[depth:])
        return grouped


def table_views(findings: Findings) -> list[TableView]:
    """Return the report's tables, in the study's order; empty where none were read."""
    document: Mapping[str, Any] = findings.appraisal.get("tables") or {}
    plans = {plan["trial"]: plan for plan in document.get("plans") or () if not plan["failure"]}
    order: Sequence[str] = (findings.appraisal.get("order") or {}).get("report") or ()
    specs: Mapping[str, Any] = document.get("tables") or {}
    names = list(dict.fromkeys([*(name for name in order if name in specs), *specs]))
    views = [_view(findings, name, specs[name], plans) for name in names]
    return [view for view in views if view is not None]


def _view(
    findings: Findings, name: str, spec: Mapping[str, Any], plans: Mapping[int, Mapping[str, Any]]
) -> TableView | None:
    sides = [
        (label, plans[side.trial]["tables"][name])
        for label, side in zip(side_names(findings), findings.sides, strict=False)
        if side.trial is not None and side.trial in plans
    ]
    if not sides:
        return None
    title = spec.get("title") or name.replace("_", " ").capitalize()
    by, value = tuple(spec.get("by") or ()), spec.get("value")
    is_cut = any(table["is_cut"] for _, table in sides)
    shown = dict(sides)
    lacking = {*by, value} - {None} - set(sides[0][1]["columns"])
    if not by or lacking:
        table = shown.get("plan") or sides[0][1]
        rows = tuple(tuple(row) for row in table["rows"])
        columns = tuple(table["columns"])
        return TableView(name, title, spec.get("unit"), None, (), columns, rows, is_cut)
    merged: dict[tuple[Cell, ...], dict[str, Cell]] = {}
    for label, table in sides:
        places = [table["columns"].index(column) for column in by]
        at = table["columns"].index(value)
        for row in table["rows"]:
            merged.setdefault(tuple(row[place] for place in places), {})[label] = row[at]
    labels = tuple(label for label, _ in sides)
    rows = tuple((*key, *(cells.get(label) for label in labels)) for key, cells in merged.items())
    return TableView(name, title, spec.get("unit"), spec.get("chart"), by, labels, rows, is_cut)


def table_grid(view: TableView) -> Grid:
    """Return a table as text."""
    depth = len(view.keys)
    rows = tuple(
        (
            *(_text(cell) for cell in row[:depth]),
            *(_number(cell, view.unit if view.is_compared else None) for cell in row[depth:]),
        )
        for row in view.rows
    )
    return Grid((*view.keys, *view.sides), rows)


def _text(cell: Cell) -> str:
    return "-" if cell is None else str(cell)


def _number(cell: Cell, unit: str | None) -> str:
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return short_with_unit(cell, unit)
    return _text(cell)


def table_failures(findings: Findings) -> list[str]:
    """Return whose tables could not be read and why, a sentence each."""
    document: Mapping[str, Any] = findings.appraisal.get("tables") or {}
    failed = [plan for plan in document.get("plans") or () if plan["failure"]]
    lines = [
        f"The tables of trial {failure['trial']} were not read: {failure['failure']}"
        for failure in failed
    ]
    if document.get("left_out"):
        count = document["left_out"]
        lines.append(f"The tables of {count} other plans were left out: they take too long.")
    return lines
