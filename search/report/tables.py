"""The result of a study as tables for people."""

from __future__ import annotations

from collections.abc import Mapping

from search.driver.results import SearchEnd
from search.study import StudySpec
from search.study.values import Scalar
from search.views.parameters import parameter_views
from search.views.targets import HEADER, target_views
from search.views.text import table_text


def targets_table(end: SearchEnd) -> str:
    """Return the targets against what the best trial and the current parameters achieve."""
    current = end.current.metrics if end.current else {}
    achieved = end.best.metrics if end.best else {}
    return table_text(HEADER, [one.row for one in target_views(end.goals, current, achieved)])


def parameters_table(spec: StudySpec, values: Mapping[str, Scalar], *, title: str = "best") -> str:
    """Return parameters against their current values and ranges."""
    rows = [one.row for one in parameter_views(spec, dict(values))]
    return table_text(["parameter", "current", title, "change", "allowed"], rows)
