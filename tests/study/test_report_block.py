"""The study file's report: what is given, and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.errors import SpecError
from search.study import study_from_document

SQL = "select 1 as year, 2 as cost"


def loaded(report: Any) -> Any:
    document = {
        "study": "pay",
        "scenario": {"dbt_project": ".", "steps": [{"dbt": {"command": "run"}}]},
        "parameters": {"a": {"low": 0, "high": 1, "current": 0, "bind": {"var": "a"}}},
        "metrics": {"m": {"sql": "select 1"}},
        "targets": {"m": {"value": 1}},
        "report": report,
    }
    return study_from_document(document, file=Path("/s/pay.yml"))


def test_tables_and_their_charts() -> None:
    spec = loaded(
        {"tables": {"cost": {"sql": SQL, "by": ["year"], "value": "cost", "chart": "lines"}}}
    )
    table = spec.report.tables["cost"]
    assert (table.by, table.value, table.chart, table.title) == (("year",), "cost", "lines", None)
    again = study_from_document(spec.to_document(), file=Path("/s/pay.yml"))
    assert again.report == spec.report


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ({"tables": {"t": {"sql": SQL, "by": ["year"]}}}, "report.tables.t.value: `value` is requ"),
        ({"tables": {"t": {"sql": SQL, "value": "cost"}}}, "report.tables.t.by: `by` is required"),
        ({"tables": {"t": {"sql": SQL, "chart": "walk"}}}, "draws `value` over `by`; name both"),
        ({"tables": {"t": {"sql": SQL, "by": ["a"], "value": "a"}}}, "another column than those"),
        ({"tables": {"t": {"sql": SQL, "chart": "pie"}}}, "report.tables.t.chart"),
        ({"tables": {"t": {}}}, "report.tables.t.sql"),
        ({"tabels": {}}, "did you mean `tables`"),
        ({"steps": [{"sql": "select 1"}]}, "must have at least 1 table"),
    ],
)
def test_mistakes_say_where_and_what_is_allowed(report: Any, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        loaded(report)
    assert words in str(caught.value)
