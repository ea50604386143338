"""The parameters of a candidate as a table for people."""

from __future__ import annotations

from collections.abc import Mapping

from search.study import StudySpec
from search.study.values import Scalar
from search.views.parameters import parameter_views
from search.views.text import table_text


def parameters_table(spec: StudySpec, values: Mapping[str, Scalar], *, title: str = "best") -> str:
    """Return parameters against their current values and ranges."""
    rows = [view.row for view in parameter_views(spec, values)]
    return table_text(["parameter", "current", title, "change", "allowed"], rows)
