"""Parsed statements do what their text does, for every candidate and on every database."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from search.scenario.compiled.lifting import Template
from search.scenario.compiled.parsing import ParsedStatements


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute("create table source as select range as i, range % 3 as kind from range(10)")
        yield made


def test_a_statement_without_holes_is_parsed_once_and_bound_anew(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    parsed, template = ParsedStatements(), Template(("create table made as select i from source",))
    first = parsed.of(template, {}, connection)
    connection.execute(first)
    # Another candidate: another database, and other types behind the same names.
    with duckdb.connect() as other:
        other.execute("create table source as select 0.5::double as i")
        again = parsed.of(template, {}, other)
        assert again is first and not isinstance(again, str)
        other.execute(again)
        assert other.execute("from made").fetchall() == [(0.5,)]
    assert connection.execute("select count(*) from made").fetchall() == [(10,)]


def test_each_execution_draws_and_looks_anew(connection: duckdb.DuckDBPyConnection) -> None:
    parsed = ParsedStatements()
    statement = parsed.of(Template(("select uuid(), random(), nextval('s')",)), {}, connection)
    connection.execute("create sequence s")
    rows = {connection.execute(statement).fetchone() for _ in range(3)}
    assert len(rows) == 3
    assert {row[2] for row in rows if row} == {1, 2, 3}


def test_holes_are_filled_in_text(connection: duckdb.DuckDBPyConnection) -> None:
    parsed, template = ParsedStatements(), Template(("select ", " + 1"), ("x",))
    assert parsed.of(template, {"x": "0.5"}, connection) == "select 0.5 + 1"
    assert parsed.of(template, {"x": "7"}, connection) == "select 7 + 1"


@pytest.mark.parametrize(
    "sql",
    [
        "create table made as pivot source on kind using sum(i)",
        "create table made as select 1 as a; insert into made values (2)",
        pytest.param(
            "pragma table_info('source')",
            marks=pytest.mark.skipif(duckdb.__version__ < "2", reason="the same as a select"),
        ),
        "set threads = 1",
        "-- nothing",
    ],
)
def test_what_a_parser_expands_or_says_twice_stays_text(
    connection: duckdb.DuckDBPyConnection, sql: str
) -> None:
    parsed = ParsedStatements()
    for _ in range(2):
        assert parsed.of(Template((sql,)), {}, connection) == sql
        connection.execute(sql)
        connection.execute("drop table if exists made")


def test_a_mistake_is_told_as_for_text(connection: duckdb.DuckDBPyConnection) -> None:
    parsed = ParsedStatements()
    with pytest.raises(duckdb.ParserException, match="selec"):
        parsed.of(Template(("selec 1",)), {}, connection)
    sql = "select missing_column from source"
    with pytest.raises(duckdb.BinderException) as from_text:
        connection.execute(sql)
    with pytest.raises(duckdb.BinderException) as from_parsed:
        connection.execute(parsed.of(Template((sql,)), {}, connection))
    assert str(from_parsed.value) == str(from_text.value)
