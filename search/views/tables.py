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
        found: dict[tuple[Cell, ...], list[tuple[Cell, ...]]] = {}
        for row in self.rows:
            found.setdefault(row[:depth], []).append(row[depth:])
        return found


def table_views(findings: Findings) -> list[TableView]:
    """Return the report's tables, in the study's order; empty where none were read."""
    document: Mapping[str, Any] = findings.appraisal.get("tables") or {}
    plans = {one["trial"]: one for one in document.get("plans") or () if not one["failure"]}
    order: Sequence[str] = (findings.appraisal.get("order") or {}).get("report") or ()
    specs: Mapping[str, Any] = document.get("tables") or {}
    names = list(dict.fromkeys([*(one for one in order if one in specs), *specs]))
    views = [_view(findings, name, specs[name], plans) for name in names]
    return [one for one in views if one is not None]


def _view(
    findings: Findings, name: str, spec: Mapping[str, Any], plans: Mapping[int, Mapping[str, Any]]
) -> TableView | None:
    sides = [
        (label, plans[one.trial]["tables"][name])
        for label, one in zip(side_names(findings), findings.sides, strict=False)
        if one.trial in plans
    ]
    if not sides:
        return None
    title = spec.get("title") or name.replace("_", " ").capitalize()
    by, value = tuple(spec.get("by") or ()), spec.get("value")
    is_cut = any(found["is_cut"] for _, found in sides)
    shown = dict(sides)
    lacking = {*by, value} - {None} - set(sides[0][1]["columns"])
    if not by or lacking:
        found = shown.get("plan") or sides[0][1]
        rows = tuple(tuple(row) for row in found["rows"])
        columns = tuple(found["columns"])
        return TableView(name, title, spec.get("unit"), None, (), columns, rows, is_cut)
    merged: dict[tuple[Cell, ...], dict[str, Cell]] = {}
    for label, found in sides:
        places = [found["columns"].index(column) for column in by]
        at = found["columns"].index(value)
        for row in found["rows"]:
            merged.setdefault(tuple(row[place] for place in places), {})[label] = row[at]
    labels = tuple(label for label, _ in sides)
    rows = tuple((*key, *(one.get(label) for label in labels)) for key, one in merged.items())
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
    failed = [one for one in document.get("plans") or () if one["failure"]]
    lines = [
        f"The tables of trial {one['trial']} were not read: {one['failure']}" for one in failed
    ]
    if document.get("left_out"):
        lines.append(f"The tables of {document['left_out']} other plans did not fit into a minute.")
    return lines
