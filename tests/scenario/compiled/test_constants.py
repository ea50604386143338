"""Constant calls are planned as numbers, and nothing else of a statement changes."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from search.scenario.compiled.constants import with_constants

SALT = "cast('0x' || substr(md5(concat(42, '/7/', 2027)), 1, 7) as bigint)"
SALTED = duckdb.connect().execute(f"select {SALT}").fetchall()[0][0]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute("create table people as select range as i, range % 3 as kind from range(9)")
        yield made


def test_a_sum_of_constants_is_one_number(connection: duckdb.DuckDBPyConnection) -> None:
    sql = f"create table made as select (2 * {SALT} + 1) * i as x, md5('a') from people"
    folded = with_constants(sql, connection)
    wanted = f"create table made as select cast({2 * SALTED + 1} as bigint) * i as x, md5('a')"
    assert folded == f"{wanted} from people"


@pytest.mark.parametrize(
    "sql",
    [
        "select cast('7' as bigint) from people",  # its text is the column's name
        "select 1 + cast('7' as bigint), i as j from people",
        "select (select cast('7' as bigint)) as x",
        "select concat('a', 'b') as text, cast('7' as integer) as n",  # another type
        "select cast('seven' as bigint) as x from people where false",  # fails only when reached
        f"select {SALT} + kind as k from people group by {SALT} + kind",  # matched by its text
        f"select row_number() over (order by i * {SALT}) as n, {SALT} as s from people",
        "select cast(i as bigint) as x, cast('1.5' as decimal(28, 6)) as y from people",
        "select cast(random() as bigint) as x, cast(getvariable('v') as bigint) as y",
        "select cast(/* 7 */ '8' as bigint) as x",
        "select cast('nan' as double) as x, cast('inf' as double) as y",
        "select \"md5\"('a') as x",
    ],
)
def test_what_must_stay_stays(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert with_constants(sql, connection) == sql


@pytest.mark.parametrize(
    "sql",
    [
        f"select i * {SALT} as x from people where i < {SALT} and kind > cast('0' as bigint)",
        f"with a as (select {SALT} as k, i from people) select k + i as x from a",
        f"select case when i > cast('4' as bigint) then {SALT} end as x from people",
        f"select p.i from people p join people q on p.i = q.i + (cast('1' as bigint) - {SALT})",
        "select kind, sum(i + cast('5' as bigint)) as s from people group by kind"
        " having sum(i) > cast('2' as bigint) order by kind",
        f"select list_transform([i], lambda x: x + {SALT}) as l from people",
        "select i / cast(4294967296 as double) as x, i * cast('0.1' as double) as y from people",
        "select i - (cast('1e-320' as double) + cast('-0.0' as double)) as x from people",
    ],
)
def test_the_rows_names_and_types_are_the_same(
    connection: duckdb.DuckDBPyConnection, sql: str
) -> None:
    folded = with_constants(sql, connection)
    assert folded != sql
    before, after = connection.sql(sql), connection.sql(folded)
    assert (after.columns, after.types) == (before.columns, before.types)
    assert sorted(map(str, after.fetchall())) == sorted(map(str, before.fetchall()))


def test_a_macro_of_the_projects_own_is_left_alone(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("create macro md5(x) as (select max(i) from people)")
    sql = "select cast(md5('a') as bigint) as x"
    assert with_constants(sql, connection) == sql
