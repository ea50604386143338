"""The tables and charts that a study's ``report`` asks for, as parts of the page."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from search.report.charts import Line, bars_chart, path_chart, walk_chart
from search.report.page import grid_table, section, small
from search.report.render import part
from search.views.findings import Findings
from search.views.tables import TableView, table_failures, table_grid, table_views

Figure = tuple[str, str, Markup]
LOOKS = ("lnow", "lbest", "l0", "l2", "l3")
"""Of today, the plan and the alternatives."""
MAX_GROUPS = 6
"""Charts of one table, a chart for each value of its first columns."""
MAX_ROWS = 60
"""Rows of a table that the page shows; the workbook has all."""


def own_figures(findings: Findings) -> list[Figure]:
    """Return the charts of the study's own tables."""
    return [figure for view in table_views(findings) for figure in _figures(view)]


def own_tables_section(findings: Findings) -> Markup:
    """Return the study's own tables; empty where it has none."""
    parts: list[Markup] = []
    for view in table_views(findings):
        grid = table_grid(view)
        shown = type(grid)(grid.header, grid.rows[:MAX_ROWS])
        parts += [part("subtitle", view.title), grid_table(shown)]
        if view.is_cut or len(grid.rows) > MAX_ROWS:
            parts.append(small("There are more rows; the export has them."))
    parts += [small(line) for line in table_failures(findings)]
    return section("tables", "The study's own tables", *parts) if parts else Markup()


def _figures(view: TableView) -> list[Figure]:
    if view.chart is None:
        return []
    figures = []
    for group, rows in list(view.groups().items())[:MAX_GROUPS]:
        name = " ".join([view.title, *map(str, group)])
        chart = _walk(view, rows) if view.chart == "walk" else _courses(view, rows)
        if chart is not None:
            unit = "" if view.unit in (None, "fraction") else str(view.unit)
            if view.chart == "walk":
                unit = ", ".join(word for word in (unit, "plan", "axis cut, not from 0") if word)
            figures.append((name, unit, chart))
    return figures


def _courses(view: TableView, rows: Sequence[tuple[object, ...]]) -> Markup:
    places = [str(row[0]) for row in rows]
    lines = []
    for number, side in enumerate(view.sides):
        look = LOOKS[min(_place(side, number), len(LOOKS) - 1)]
        lines.append(Line(side, [_float(row[1 + number]) for row in rows], look))
    if view.chart == "bars":
        return bars_chart(places, lines, unit=view.unit, label_text=view.title)
    bands = [None] * len(places)
    drawn = [*lines[2:], *lines[:2]]
    return path_chart(places, drawn, bands, unit=view.unit, label_text=view.title)


def _walk(view: TableView, rows: Sequence[tuple[object, ...]]) -> Markup | None:
    """Return the way of the plan from the first row to the last; None where a part is missing."""
    side = view.sides.index("plan") if "plan" in view.sides else 0
    values = [_float(row[1 + side]) for row in rows]
    known = [value for value in values if value is not None]
    if len(rows) < 3 or len(known) != len(values):
        return None
    steps = [(str(row[0]), value) for row, value in zip(rows, known, strict=True)][1:-1]
    steps = [step for step in steps if step[1]]
    names = (str(rows[0][0]), str(rows[-1][0]))
    return walk_chart(known[0], steps, unit=view.unit, names=names, label_text=view.title)


def _place(side: str, number: int) -> int:
    return {"today": 0, "plan": 1}.get(side, max(2, number))


def _float(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]
