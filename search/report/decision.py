"""The report's first screen, for somebody with one minute, and the figures that back it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from markupsafe import Markup

from search.report.charts import (
    Bar,
    Line,
    Track,
    futures_chart,
    path_chart,
    plans_chart,
    tornado_chart,
    walk_chart,
)
from search.report.facts import StudyFacts
from search.report.own_tables import LOOKS, own_figures
from search.report.page import Cell, Row, badge, cell, grid_table, section, small, table
from search.report.render import part
from search.report.sections import key_mark
from search.report.shapes import box, dot, strokes
from search.study.figures import short_with_unit, with_unit
from search.views.appraisal import confirmation_grid
from search.views.drivers import DrivingParameter, drivers, walk
from search.views.findings import Findings, spoken
from search.views.headline import headline, headline_metric
from search.views.outcomes import alternative_lines, outcomes, settings, side_names
from search.views.repeats import Repeated, repeated, repeated_grid
from search.views.risk import failing_lines, risk_line
from search.views.targets import accepted_band

Figure = tuple[str, str, Markup]
MAX_SETTINGS = 12
"""Parameters that the first screen lists; beyond, only those that some plan moves."""
MAX_FIGURES = 12
"""Figures of a kind that are drawn."""


def decision_section(facts: StudyFacts, findings: Findings) -> Markup:
    """Return the decision: the sentence, what to set, what comes out, what drives it, the risk."""
    plots: list[Figure] = []
    metric = headline_metric(findings)
    if findings.plan is not None and metric is not None:
        plots = [*_walk_figure(findings, metric), *_tornado(findings, metric)]
    has_plan = findings.plan is not None
    return part(
        "decision",
        headline(findings),
        risk_line(findings) if has_plan else "",
        _settings(facts, findings) if has_plan else "",
        alternative_lines(findings),
        _outcomes(findings) if has_plan else "",
        plots,
        failing_lines(findings) if has_plan else [],
        [*map(partial(_path, findings), repeated(findings)), *own_figures(findings)][:MAX_FIGURES],
        _sides(findings),
    )


def _settings(facts: StudyFacts, findings: Findings) -> Markup:
    """Return the parameters for each plan; those that stay are counted when they are many."""
    listed = settings(findings)
    shown = listed
    if len(listed) > MAX_SETTINGS:
        shown = [setting for setting in listed if any(setting.is_moved)]
    notes = {parameter.name: parameter.description for parameter in facts.parameters}
    header = [("parameter", True), *((name, False) for name in side_names(findings))]
    rows = [
        Row(
            [
                cell(setting.name, is_text=True, note=notes.get(setting.name)),
                *(
                    Cell(value, None if moved else "soft", is_strong=moved and place == 1)
                    for place, (value, moved) in enumerate(
                        zip(setting.values, setting.is_moved, strict=True)
                    )
                ),
            ]
        )
        for setting in shown
    ]
    left = len(listed) - len(shown)
    body = table(header, rows, class_="stack")
    return body + small(f"{left} other parameters stay as they are today.") if left else body


def _outcomes(findings: Findings) -> Markup:
    known = outcomes(findings)
    has_futures = any(outcome.reach != "-" for outcome in known)
    header = [("metric", True), ("wanted", False), ("today", False), ("plan", False)]
    header += [("change", False)]
    header += [("8 of 10 futures", False), ("futures met", False)] if has_futures else []
    header += [("verdict", True)]
    rows = []
    for setting in known[: MAX_SETTINGS * 2]:
        cells = [
            cell(setting.metric, is_text=True),
            cell(setting.wanted),
            cell(setting.today),
            cell(setting.plan, is_strong=True),
            cell(setting.change),
        ]
        cells += [cell(setting.reach), cell(setting.chance)] if has_futures else []
        look = {True: "good", False: "bad", None: ""}[setting.is_met]
        verdict = badge(setting.verdict, look) if setting.verdict != "-" else Markup("-")
        rows.append(Row([*cells, Cell(verdict, "t")]))
    body = table(header, rows, class_="stack")
    left = len(known) - len(rows)
    return body + small(f"{left} more metrics stand among the trials below.") if left else body


def _walk_figure(findings: Findings, metric: str) -> list[Figure]:
    steps = walk(findings, metric)
    if not steps or findings.today is None:
        return []
    chart = walk_chart(
        findings.today.metrics[metric],
        [(f"{step.name}", step.change) for step in steps],
        unit=findings.units.get(metric),
        names=("today", "plan"),
        label_text=f"{metric} from today to the plan, by parameter",
    )
    return [(f"From today to the plan: {spoken(metric)}", "axis cut, not from 0", chart)]


def _tornado(findings: Findings, metric: str) -> list[Figure]:
    listed = drivers(findings).get(metric, [])
    if not listed:
        return []
    unit = findings.units.get(metric)
    bars = [_bar(driver) for driver in listed]
    what = (
        "evaluated" if all(driver.is_evaluated for driver in listed) else "estimate, 95 % interval"
    )
    chart = tornado_chart(bars, unit=unit, label_text=f"what moves {metric}")
    return [(f"What moves {spoken(metric)}", f"1 % of each range; {what}", chart)]


def _bar(driving: DrivingParameter) -> Bar:
    return Bar(driving.parameter, driving.effect, driving.low, driving.high, driving.step)


def _path(findings: Findings, repeated: Repeated) -> Figure:
    names = side_names(findings)
    sides = range(len(repeated.points[0].sides))
    lines = [
        Line(
            names[side] if side < len(names) else "",
            [point.sides[side] for point in repeated.points],
            LOOKS[min(side, len(LOOKS) - 1)],
        )
        for side in (*sides[2:], *sides[:2])
    ]
    bands = [None if point.goal is None else accepted_band(point.goal) for point in repeated.points]
    chart = path_chart(
        [str(point.value) for point in repeated.points],
        lines,
        bands,
        unit=repeated.unit,
        label_text=f"{repeated.key} by {repeated.loop}",
    )
    return (
        f"{spoken(repeated.key).capitalize()} by {spoken(repeated.loop)}",
        _unit(repeated.unit),
        chart,
    )


def _sides(findings: Findings) -> Markup:
    """Return what the lines and bars of the plans look like."""
    names = side_names(findings)
    marks = [
        key_mark(26, 8, strokes("M0 4h26", f"l {LOOKS[min(side, len(LOOKS) - 1)]}"), name)
        for side, name in enumerate(names)
    ]
    return part("legend", marks)


def _unit(unit: str | None) -> str:
    return "" if unit == "fraction" or unit is None else unit


def drivers_section(findings: Findings) -> Markup:
    """Return a tornado for each metric with effects; empty when nothing is known."""
    figures: list[Figure] = []
    for metric in list(drivers(findings))[:MAX_FIGURES]:
        figures += _tornado(findings, metric)
    if not figures:
        return Markup()
    return section("drivers", "What moves each target", part("figures", figures))


def futures_section(findings: Findings) -> Markup:
    """Return each target's metric over the futures; empty when none were evaluated."""
    fresh = [future for future in findings.futures() if not future["is_searched"]]
    searched = [future for future in findings.futures() if future["is_searched"]]
    if not fresh:
        return Markup()
    figures: list[Figure] = []
    for goal in findings.goals[:MAX_FIGURES]:
        band = accepted_band(goal)
        values = []
        for future in fresh:
            value = future["metrics"].get(goal.metric)
            if value is not None:
                is_met = band is None or band[0] <= value <= band[1]
                title = f"seed {future['seed']}: {with_unit(value, goal.unit)}"
                values.append((value, is_met, title))
        tuned = [
            future["metrics"][goal.metric]
            for future in searched
            if goal.metric in future["metrics"]
        ]
        chart = futures_chart(
            values, band, searched=tuned, unit=goal.unit, label_text=f"{goal.metric} over futures"
        )
        figures.append((spoken(goal.metric).capitalize(), _unit(goal.unit), chart))
    legend = part(
        "legend",
        [
            key_mark(10, 10, dot(5, 5, 4, "met"), "a future that meets the target"),
            key_mark(10, 10, dot(5, 5, 4, "missed"), "one that misses it"),
            key_mark(22, 10, box(0, 1, 22, 8, "band", 2), "accepted"),
            key_mark(12, 10, strokes("M6 1L1 9L11 9Z", "tuned"), "the seed that was tuned on"),
        ],
    )
    grid = confirmation_grid(findings.appraisal, findings.units)
    numbers = grid_table(grid) if grid is not None else Markup()
    return section(
        "futures", "The plan in other futures", legend, part("figures", figures), numbers,
        intro=risk_line(findings),
    )  # fmt: skip


def plans_section(facts: StudyFacts, findings: Findings) -> Markup:
    """Return the plans on each parameter's range; empty without alternatives."""
    if not findings.alternatives or findings.plan is None:
        return Markup()
    tracks = []
    for parameter in facts.parameters:
        sides = [findings.today.values.get(parameter.name) if findings.today else None]
        sides += [
            side.values.get(parameter.name) for side in findings.sides if side.name != "today"
        ]
        if len(facts.parameters) > MAX_SETTINGS and len(set(map(str, sides))) == 1:
            continue
        ends = (parameter.low, parameter.high)
        if parameter.choices:
            ends = (parameter.choices[0], parameter.choices[-1])  # type: ignore[assignment]
        tracks.append(
            Track(
                parameter.name,
                with_unit(ends[0], parameter.unit),
                with_unit(ends[1], parameter.unit),
                [parameter.position(value) for value in sides],
                [with_unit(value, parameter.unit) for value in sides],
            )
        )
    legend = part(
        "legend",
        [
            key_mark(12, 12, dot(6, 6, 4.2, "hollow"), "today"),
            key_mark(12, 12, dot(6, 6, 5, "mark"), "plan"),
            key_mark(16, 16, dot(8, 8, 7, "other"), "an alternative, by its number"),
        ],
    )
    chart = plans_chart(tracks, label_text="the plans on each parameter's range")
    lines = part("lines", alternative_lines(findings))
    title = "Other plans that meet every target"
    return section(
        "alternatives", title, lines, legend, part("frame", chart, "wide"), _plans(findings)
    )


def _plans(findings: Findings) -> Markup:
    """Return what each plan comes to."""
    goals = findings.goal_of
    names = [name for name in findings.metrics if name in goals or name not in findings.loops]
    header = [("metric", True), *((name, False) for name in side_names(findings))]
    rows = []
    for name in names[: MAX_SETTINGS * 2]:
        unit = findings.units.get(name)
        sides: Sequence[float | None] = [
            findings.today.metrics.get(name) if findings.today else None,
            *(side.metrics.get(name) for side in findings.sides if side.name != "today"),
        ]
        cells = [cell(short_with_unit(value, unit)) for value in sides]
        rows.append(Row([cell(name, is_text=True), *cells]))
    return table(header, rows, class_="stack")


def repeats_section(findings: Findings) -> Markup:
    """Return every metric that repeats as a table; empty when none does."""
    parts: list[Markup] = []
    for family in repeated(findings):
        title = f"{spoken(family.key).capitalize()} by {spoken(family.loop)}"
        parts += [part("subtitle", title), grid_table(repeated_grid(findings, family))]
    return section("years", "By year and level", *parts) if parts else Markup()
