"""Candidates side by side as a page of its own."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from search.report.charts import Line, path_chart
from search.report.own_tables import LOOKS
from search.report.page import grid_table, page, section, small
from search.report.render import part
from search.report.sections import key_mark
from search.report.shapes import strokes
from search.views.findings import Findings, spoken
from search.views.grid import Grid
from search.views.repeats import Repeated, repeated


def comparison_html(
    findings: Findings, parameters: Grid, metrics: Grid, notes: Sequence[str]
) -> str:
    """Return the page: parameters, metrics, and the paths of metrics that repeat.

    Args:
        findings: The sides, the first one as today's, the second as the plan.
        parameters: Of all sides.
        metrics: Of all sides.
        notes: Where the metrics are from.
    """
    names = [side.name for side in findings.sides]
    head = part("header", f"{findings.study}: {' against '.join(names)}", "", "", "", "")
    known = repeated(findings)
    paths = [_path(family, names) for family in known]
    marks = [
        key_mark(26, 8, strokes("M0 4h26", f"l {LOOKS[min(i, len(LOOKS) - 1)]}"), name)
        for i, name in enumerate(names)
    ]
    sections = [
        section("parameters", "Parameters", grid_table(parameters)),
        section("metrics", "Metrics", grid_table(metrics), *map(small, notes)),
        section("years", "By year and level", part("legend", marks), part("figures", paths))
        if paths
        else Markup(),
    ]
    return page(f"{findings.study} - comparison", head, sections)


def _path(repeated: Repeated, names: Sequence[str]) -> tuple[str, str, Markup]:
    lines = [
        Line(name, [point.sides[i] for point in repeated.points], LOOKS[min(i, len(LOOKS) - 1)])
        for i, name in enumerate(names)
    ]
    places = [str(point.value) for point in repeated.points]
    bands = [None for _ in places]
    chart = path_chart(
        places, lines, bands, unit=repeated.unit, label_text=f"{repeated.key} by {repeated.loop}"
    )
    unit = "" if repeated.unit in (None, "fraction") else str(repeated.unit)
    return f"{spoken(repeated.key).capitalize()} by {spoken(repeated.loop)}", unit, chart
