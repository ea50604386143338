"""What a study found as sheets of typed cells: numbers stay numbers, each with its unit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from search.study.targets import Goal
from search.study.values import Scalar
from search.views.drivers import DrivingParameter, drivers
from search.views.findings import TODAY, Findings
from search.views.headline import headline
from search.views.outcomes import alternative_lines, side_names
from search.views.repeats import repeated
from search.views.risk import failing_lines, risk_line
from search.views.tables import table_views
from search.views.targets import Judgement, accepted_band

Value = str | int | float | bool | datetime | None


@dataclass(frozen=True)
class Amount:
    """A number with its unit."""

    value: float | int | None
    unit: str | None


@dataclass(frozen=True)
class Sheet:
    """A table, with lines of text above it.

    Attributes:
        name: Of the sheet; of its file too.
        header: Names of the columns.
        rows: Cells, as many as columns.
        lines: What stands above the table.
    """

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[Value | Amount, ...], ...]
    lines: tuple[str, ...] = ()


def amount(value: Scalar | None, unit: str | None) -> Value | Amount:
    """Return a parameter's value or a metric as a cell."""
    if value is None or isinstance(value, str | bool):
        return value
    return Amount(value, unit)


def decision_sheet(findings: Findings) -> Sheet:
    """Return the sentence, the risk, what would make it fail, and the targets."""
    lines = [f"Study {findings.study}", headline(findings)]
    if findings.plan is not None:
        lines += [risk_line(findings), *failing_lines(findings), *alternative_lines(findings)]
    confirmation = findings.appraisal.get("confirmation")
    total = len(confirmation["seeds"]) + confirmation["failed"] if confirmation else None
    rows = []
    for name in findings.metrics:
        unit, goal = findings.units.get(name), findings.goal_of.get(name)
        today = findings.today.metrics.get(name) if findings.today else None
        plan = findings.plan.metrics.get(name) if findings.plan else None
        spread: Mapping[str, Any] = findings.spread(name) or {}
        moved = None if today is None or plan is None else plan - today
        cells: list[Value | Amount] = [name, unit, goal.kind if goal else None]
        cells += [Amount(end, unit) for end in _ends(goal)]
        cells += [Amount(value, unit) for value in (today, plan, moved)]
        cells += [Amount(spread.get(end), unit) for end in ("p10", "p50", "p90")]
        cells += [spread.get("met"), total if spread.get("met") is not None else None]
        cells.append(_verdict(goal, plan))
        rows.append(tuple(cells))
    header = ("metric", "unit", "target", "accepted from", "accepted to", "today", "plan", "change")
    futures = ("p10 of futures", "p50 of futures", "p90 of futures", "futures met", "futures")
    return Sheet("decision", (*header, *futures, "verdict"), tuple(rows), tuple(lines))


def _ends(goal: Goal | None) -> tuple[float | None, float | None]:
    band = accepted_band(goal) if goal else None
    low, high = band or (None, None)
    ends = (None if end is None or not math.isfinite(end) else end for end in (low, high))
    # Sums of a target and its tolerance end in noise of arithmetic.
    first, last = (None if end is None else float(f"{end:.12g}") for end in ends)
    return first, last


def _verdict(goal: Goal | None, achieved: float | None) -> str | None:
    if goal is None:
        return None
    if goal.is_objective:
        return goal.kind
    return {True: "met", False: "missed", None: "unknown"}[Judgement.of(goal, achieved).is_met]


def plans_sheet(findings: Findings) -> Sheet:
    """Return parameters, then metrics, a column for today, the plan and each alternative."""
    sides = [side for side in findings.sides if side.name != TODAY]
    rows: list[tuple[Value | Amount, ...]] = []
    for name, parameter in findings.parameters.items():
        first = findings.today.values.get(name) if findings.today else parameter.current
        values = [first, *(side.values.get(name) for side in sides)]
        cells = [amount(value, parameter.unit) for value in values]
        ends = [amount(parameter.low, parameter.unit), amount(parameter.high, parameter.unit)]
        choices = ", ".join(str(choice) for choice in parameter.choices or ())
        rows.append(("parameter", name, parameter.unit, *cells, *ends, choices or None))
    for name in findings.metrics:
        unit = findings.units.get(name)
        first_metric = findings.today.metrics.get(name) if findings.today else None
        metrics = [first_metric, *(side.metrics.get(name) for side in sides)]
        shown = [Amount(value, unit) for value in metrics]
        rows.append(("metric", name, unit, *shown, None, None, None))
    header = ("kind", "name", "unit", *side_names(findings), "lowest", "highest", "choices")
    return Sheet("plan and alternatives", header, tuple(rows), tuple(alternative_lines(findings)))


def years_sheet(findings: Findings) -> Sheet:
    """Return every repetition of the metrics that repeat."""
    rows = []
    for family in repeated(findings):
        for point in family.points:
            cells = [Amount(value, family.unit) for value in point.sides]
            ends = [Amount(end, family.unit) for end in _ends(point.goal)]
            rows.append((family.key, family.loop, point.value, family.unit, *ends, *cells))
    header = ("metric", "by", "value", "unit", "accepted from", "accepted to")
    return Sheet("by year", (*header, *side_names(findings)), tuple(rows))


def effects_sheet(findings: Findings) -> Sheet:
    """Return what a hundredth of each parameter's range does to each metric, largest first."""
    rows = []
    for metric, listed in drivers(findings).items():
        unit = findings.units.get(metric)
        rows += [
            (metric, driver.parameter, driver.step, *_effect(driver, unit)) for driver in listed
        ]
    header = ("metric", "parameter", "step (1 % of the range)", "unit", "effect")
    return Sheet("effects", (*header, "effect from", "effect to", "known by"), tuple(rows))


def _effect(driving: DrivingParameter, unit: str | None) -> tuple[Value | Amount, ...]:
    known = "evaluation" if driving.is_evaluated else "estimate of the model, 95 % interval"
    if driving.effect is None:
        known = "not known with its sign"
    ends = [Amount(value, unit) for value in (driving.effect, driving.low, driving.high)]
    return (unit, *ends, known)


def futures_sheet(findings: Findings) -> Sheet:
    """Return the plan under each seed."""
    futures = findings.futures()
    names = list(dict.fromkeys(name for future in futures for name in future["metrics"]))
    rows = [
        (
            future["seed"],
            future["is_searched"],
            future["is_met"],
            *(Amount(future["metrics"].get(name), findings.units.get(name)) for name in names),
        )
        for future in futures
    ]
    heads = [named(name, findings.units.get(name)) for name in names]
    return Sheet("futures", ("seed", "tuned on", "all targets met", *heads), tuple(rows))


def table_sheets(findings: Findings) -> list[Sheet]:
    """Return the report's own tables."""
    sheets = []
    for view in table_views(findings):
        depth = len(view.keys)
        rows = tuple(
            (*row[:depth], *(amount(cell, view.unit) if depth else cell for cell in row[depth:]))
            for row in view.rows
        )
        sides = [named(side, view.unit) if depth else side for side in view.sides]
        lines = (view.title, *(["There are more rows."] if view.is_cut else []))
        sheets.append(Sheet(view.name, (*view.keys, *sides), rows, lines))
    return sheets


def named(name: str, unit: str | None) -> str:
    """Return a column's heading with its unit.

    Example:
        >>> named("cost", "USD"), named("growth", "fraction"), named("ratio", None)
        ('cost (USD)', 'growth (fraction)', 'ratio')
    """
    return f"{name} ({unit})" if unit else name


def sheets_of(findings: Findings, more: Sequence[Sheet] = ()) -> list[Sheet]:
    """Return every sheet, the decision first; ``more`` are trials, provenance and the like."""
    own = [decision_sheet(findings), plans_sheet(findings), years_sheet(findings)]
    tables = table_sheets(findings)
    return [*own, effects_sheet(findings), futures_sheet(findings), *tables, *more]
