"""What was found out at the end of a study, as sections of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from search.report.page import grid_table, section, small
from search.report.render import part
from search.study.figures import with_unit
from search.views.appraisal import (
    Units,
    confirmation_grid,
    confirmation_text,
    diagnosis_lines,
    effects_grid,
    effects_source,
    importances_text,
)
from search.views.grid import Grid


def diagnosis_section(document: Mapping[str, Any]) -> Markup:
    """Return the section that says why targets are missed; empty when there is nothing to say."""
    lines = diagnosis_lines(document)
    if not lines:
        return Markup()
    return section("diagnosis", "Why targets are missed", part("plain", "\n".join(lines)))


def effects_section(document: Mapping[str, Any], metrics: Units, parameters: Units) -> Markup:
    """Return the section on what moves what; empty when nothing is known."""
    grid = effects_grid(document, metrics, parameters)
    if grid is None:
        return Markup()
    importances = importances_text(document)
    below = small(importances) if importances else Markup()
    intro = f"What one step of a parameter does at the best trial. {effects_source(document)}"
    return section("effects", "Sensitivity", grid_table(grid), below, intro=intro)


def confirmation_section(document: Mapping[str, Any], metrics: Units) -> Markup:
    """Return the section on fresh random seeds; empty when none were asked for."""
    grid, sentence = confirmation_grid(document, metrics), confirmation_text(document)
    if grid is None or sentence is None:
        return Markup()
    return section("confirmation", "Fresh random seeds", grid_table(grid), intro=sentence)


def front_section(
    document: Mapping[str, Any], metrics: Units, values: Mapping[int, Mapping[str, float]]
) -> Markup:
    """Return the Pareto front as a table; empty with fewer than two objectives.

    Args:
        document: The appraisal.
        metrics: Unit of each metric to show, the objectives first.
        values: Metrics of each trial.
    """
    front: Sequence[int] = document.get("front") or ()
    if not front:
        return Markup()
    rows = tuple(
        (str(trial), *(with_unit(values[trial].get(name), unit) for name, unit in metrics.items()))
        for trial in front
        if trial in values
    )
    intro = "Trials that meet all targets and that no other such trial beats in every objective."
    return section(
        "front", "Pareto front", grid_table(Grid(("trial", *metrics), rows)), intro=intro
    )
