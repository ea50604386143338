"""A cell must hold every value that its parameter may have."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from search.errors import SpecError
from search.scenario.plan import TableBind
from search.scenario.table_binds import check_table_bind, unlike_in_cell
from search.study.parameters import ParameterSpec

BIND = {"table": "levers", "column": "v", "where": "true"}


def _parameter(**keys: Any) -> ParameterSpec:
    return ParameterSpec.model_validate({"bind": BIND, **keys})


@pytest.mark.parametrize(
    ("kind", "keys", "word"),
    [
        ("DECIMAL(6,2)", {"low": 0.01, "high": 0.1, "current": 0.04}, "2 decimals"),
        ("DECIMAL(6,2)", {"low": 0.0, "high": 0.1, "step": 0.005, "current": 0.0}, "0.005"),
        ("DECIMAL(4,2)", {"low": 0.0, "high": 200.0, "step": 0.5, "current": 0.0}, "200.0"),
        ("INTEGER", {"low": 0.0, "high": 2.0, "current": 1.0}, "whole number"),
        ("INTEGER", {"low": 0.0, "high": 2.0, "step": 0.5, "current": 1.0}, "0.5"),
        ("TINYINT", {"low": 0, "high": 500, "step": 100, "current": 100}, "500"),
        ("DECIMAL(6,2)", {"choices": [0.25, 0.125], "current": 0.25}, "0.125"),
        ("INTEGER", {"choices": ["a", "b"], "current": "a"}, "'a'"),
    ],
)
def test_types_that_would_change_a_value(kind: str, keys: dict[str, Any], word: str) -> None:
    text = unlike_in_cell(duckdb.connect(), _parameter(**keys), kind)
    assert text is not None and word in text


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("DOUBLE", {"low": 0.01, "high": 0.1, "current": 0.04}),
        ("DECIMAL(6,2)", {"low": 0.0, "high": 0.1, "step": 0.05, "current": 0.0}),
        ("DECIMAL(6,2)", {"low": 0, "high": 9999, "step": 1, "current": 0}),
        ("DECIMAL(18,12)", {"low": 0.01, "high": 0.1, "current": 0.04}),
        ("INTEGER", {"low": 0.0, "high": 4.0, "step": 2.0, "current": 0.0}),
        ("VARCHAR", {"choices": ["a", "b"], "current": "a"}),
        ("VARCHAR", {"low": 0.0, "high": 1.0, "step": 0.25, "current": 0.0}),
        ("BOOLEAN", {"choices": [True, False], "current": True}),
    ],
)
def test_types_that_hold_all(kind: str, keys: dict[str, Any]) -> None:
    assert unlike_in_cell(duckdb.connect(), _parameter(**keys), kind) is None


def _mistaken(key: str, message: str) -> SpecError:
    return SpecError(message, key=key)


def test_the_column_and_its_type_are_named_and_today_is_compared() -> None:
    connection = duckdb.connect()
    connection.execute("create table levers as select 0.05::decimal(6,2) as v")
    bind = TableBind("merit", "levers", "levers", "v", "true")
    free = _parameter(low=0.0, high=0.1, current=0.04)
    with pytest.raises(SpecError, match=r"v of levers is decimal\(6,2\).*a step"):
        check_table_bind(connection, bind, free, _mistaken)
    stepped = _parameter(low=0.0, high=0.1, step=0.01, current=0.04)
    told = check_table_bind(connection, bind, stepped, _mistaken)
    assert told is not None and "current is 0.04, but v of levers is 0.05 today" in told
    same = _parameter(low=0.0, high=0.1, step=0.01, current=0.05)
    assert check_table_bind(connection, bind, same, _mistaken) is None
