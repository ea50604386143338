"""A study's trail as Dagster's metadata: tables, a plot, paths. Pure but for reading facts."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from dagster_defs.web import REPORTS
from search.report.courses import convergence_image
from search.report.facts import ParameterFacts, StudyFacts, Target
from search.report.findings import findings_of
from search.scenario.verdict import DataTests
from search.views.grid import Grid
from search.views.headline import headline
from search.views.outcomes import OUTCOMES, alternative_lines, outcomes, plans_grid
from search.views.parameters import allowed_text, parameter_view
from search.views.repeats import repeated, repeated_grid
from search.views.risk import failing_lines, risk_line
from search.views.tables import table_grid, table_views
from search.views.targets import TargetView

Row = Mapping[str, Any]


def table(rows: Sequence[Row]) -> dg.MetadataValue[Any] | None:
    """Return rows as a table, moments as text; None without any."""
    if not rows:
        return None
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord({name: _cell(value) for name, value in row.items()}) for row in rows
        ]
    )


def _cell(value: Any) -> str | int | float | bool | None:
    return value.isoformat(sep=" ", timespec="seconds") if isinstance(value, datetime) else value


def present(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata without the entries that are None."""
    return {name: value for name, value in metadata.items() if value is not None}


def target_rows(facts: StudyFacts) -> list[Row]:
    """Return the targets against what the current and the best parameters achieve."""
    return [_target_row(target) for target in facts.targets]


def _target_row(target: Target) -> Row:
    view = TargetView.of(target.goal, target.current, target.best)
    return {
        "target": view.name,
        "wanted": view.wanted,
        "tolerance": view.tolerance,
        "current": view.current,
        "achieved": view.achieved,
        "variance": view.variance,
        "met": view.is_met,
    }


def parameter_rows(facts: StudyFacts) -> list[Row]:
    """Return the best parameters against today's, with their ranges."""
    rows: list[Row] = []
    for parameter in facts.parameters:
        view = parameter_view(parameter.name, parameter, parameter.best)
        rows.append(
            {
                "parameter": view.name,
                "current": view.current,
                "best": view.best,
                "change": view.change,
                "allowed": view.allowed,
                "at bound": parameter.bound_reached,
            }
        )
    return rows


def allowed_of(parameter: ParameterFacts) -> str:
    """Return a parameter's range or choices for people."""
    return allowed_text(parameter.low, parameter.high, parameter.choices, parameter.unit)


def test_table(facts: StudyFacts) -> dg.MetadataValue[Any] | None:
    """Return dbt's tests of the winner that fail, new failures first; None when none does."""
    verification = facts.verification
    tests = verification.tests if verification else DataTests()
    return table(
        [
            {
                "test": name,
                "fails today too": name in tests.failing_today,
                "message": tests.messages.get(name, ""),
            }
            for name in tests.failing
        ]
    )


def convergence_plot(facts: StudyFacts) -> dg.MetadataValue[Any] | None:
    """Return the loss over the trials as an image; None while no trial is complete."""
    picture = convergence_image(facts)
    if picture is None:
        return None
    return dg.MetadataValue.md(
        f"{image_text('loss over the trials', picture)}\n\n"
        "Loss of each trial (dot) and of the best so far (line); 0 meets every target, a cross is "
        "a failed trial. Vertical lines begin an iteration."
    )


def report_link(facts: StudyFacts) -> dg.MetadataValue[Any]:
    """Return a link that opens the report where `make ui` serves it."""
    return dg.MetadataValue.url(f"{REPORTS}{facts.folder.name}")


def decision(facts: StudyFacts) -> dict[str, Any]:
    """Return the decision as metadata: the sentence, the risk, the plans, the plan's path."""
    findings = findings_of(facts)
    lines = [headline(findings), risk_line(findings), *failing_lines(findings)]
    paths = [
        (f"{family.key} by {family.loop}", repeated_grid(findings, family))
        for family in repeated(findings)
    ]
    paths += [(view.title, table_grid(view)) for view in table_views(findings) if view.is_compared]
    others = "\n".join(f"- {line}" for line in alternative_lines(findings))
    yielded = [dict(zip(OUTCOMES, outcome.row, strict=True)) for outcome in outcomes(findings)]
    known: dict[str, Any] = {
        "decision": dg.MetadataValue.md("\n\n".join(lines)) if findings.plan else lines[0],
        "what comes out": table(yielded),
        "plans": grid_table(plans_grid(findings)),
        "alternatives": dg.MetadataValue.md(others) if others else None,
        "report in a browser": report_link(facts),
    }
    return known | {f"path: {name}": grid_table(grid) for name, grid in paths}


def grid_table(grid: Grid) -> dg.MetadataValue[Any] | None:
    """Return a table of text cells."""
    header = [name or "name" for name in grid.header]
    return table([dict(zip(header, row, strict=True)) for row in grid.rows])


def image(title: str, picture: str) -> dg.MetadataValue[Any]:
    """Return an SVG file as an image."""
    return dg.MetadataValue.md(image_text(title, picture))


def image_text(title: str, picture: str) -> str:
    """Return Markdown that shows an SVG file."""
    encoded = base64.b64encode(picture.encode()).decode()
    return f"![{title}](data:image/svg+xml;base64,{encoded})"


def places_of(facts: StudyFacts) -> dict[str, Any]:
    """Return where the study's results are."""
    run = facts.run
    return {
        "study in the Optuna dashboard": facts.study,
        "storage": run.storage_url,
        "audit trail": dg.MetadataValue.path(facts.folder / "audit.duckdb"),
        "report": dg.MetadataValue.path(facts.folder / "report.html"),
        "report in a browser": report_link(facts),
    }
