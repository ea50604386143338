from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from search.errors import ScenarioError
from search.scenario.metric_reader import MetricReader, combine, read_metric
from search.scenario.plan import PlannedMetric


@pytest.fixture
def connection() -> Iterator[Any]:
    with duckdb.connect() as connection:
        yield connection


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("select 1", 1.0),
        ("select 1.25::decimal(10, 2)", 1.25),
        ("select -0.1::double", -0.1),
        ("select count(*) from range(7)", 7.0),
        ("select 170141183460469231731687303715884105727::hugeint", float(2**127 - 1)),
    ],
)
def test_one_row_with_one_number(connection: Any, sql: str, value: float) -> None:
    assert read_metric(connection, PlannedMetric("m", sql)) == value


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select 1 from range(0)", "one row, but yields none"),
        ("select * from range(2)", "one row, but yields two or more"),
        ("select 1, 2", "one column, but yields 2"),
        ("select null::double", "yields NULL"),
        ("select 'nan'::double", "a finite number, but yields nan"),
        ("select 1::double / 0", "a finite number, but yields inf"),
        ("select 'much'", "a number, but yields 'much'"),
        ("select true", "a number, but yields True"),
        ("select nothing from nowhere", "its SQL fails: Catalog Error.*nowhere"),
        ("selec 1", "its SQL fails: Parser Error"),
    ],
)
def test_anything_else_names_the_metric_and_its_sql(connection: Any, sql: str, says: str) -> None:
    with pytest.raises(ScenarioError, match=says) as caught:
        read_metric(connection, PlannedMetric("m", sql))
    assert caught.value.fields["stage"] == "metric"
    assert caught.value.fields["model"] == "m"
    assert sql in caught.value.message


def test_readings_after_each_repetition_are_combined(connection: Any) -> None:
    def each(name: str, how: str, value: int | None = None) -> PlannedMetric:
        sql = "select getvariable('now')"
        return PlannedMetric(name, sql, step=1, loop_value=value, combine=how)

    metrics = [
        PlannedMetric("end", "select getvariable('now') * 100"),
        *(each(how, how) for how in ("mean", "last", "max", "min", "sum")),
        *(each(f"each@{year}", "each", year) for year in (2026, 2027, 2028)),
    ]
    reader = MetricReader(metrics)
    assert reader.is_due(1) and not reader.is_due(0)
    for year, value in ((2026, 5), (2027, 1), (2028, 3)):
        connection.execute(f"set variable now = {value}")
        reader.read_after(connection, 1, year)
        reader.read_after(connection, 0, year)
    assert dict(reader.finish(connection)) == {
        "end": 300.0,
        "mean": 3.0,
        "last": 3.0,
        "max": 5.0,
        "min": 1.0,
        "sum": 9.0,
        "each@2026": 5.0,
        "each@2027": 1.0,
        "each@2028": 3.0,
    }


def test_a_mean_does_not_depend_on_the_size_of_its_terms() -> None:
    assert combine([1e16, 1.0, -1e16], "sum") == 1.0
