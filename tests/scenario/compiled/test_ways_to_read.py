"""However SQL names a file, a replay reads what dbt reads, or leaves the candidate to dbt.

It is started elsewhere than dbt, where other files have the same names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from search.scenario.own_files import OwnFiles
from search.scenario.session import reach_only

READ = (
    "select v from 'data/a.csv'",
    "select v from read_csv(['data/a.csv', 'data/b.csv'])",
    "select sum(v) from read_csv('data/part_*.csv')",
    "select sum(v) from 'data/part_[12].csv'",
    "select v from 'data/a.parquet'",
    "select v from parquet_scan('data/a.parquet')",
    "select v from read_json(['data/a.json'])",
    "select content from read_text('data/a.txt')",
    "select count(*) from glob('data/*.csv')",
    'select v from "data/a.csv"',
    "from 'a.csv'",
    "select v from 'data/../data/a.csv'",
    "select v from 'data/a.csv' as x join 'data/b.csv' as y using (v)",
    "select v from query_table('data/a.csv')",
    "create temp table w (v int); copy w from 'data/a.csv'; select v from w",
    "create temp macro m() as table select v from 'data/a.csv'; from m()",
    "create temp view w as select v from 'data/a.csv'; from w",
    "with c as (from 'data/a.csv') select v from c",
    "summarize 'data/a.csv'",
    "select count(*) from sniff_csv('data/a.csv')",
    "select f from (values ('data/a.csv')) as t(f)",
    "attach if not exists 'data/o.duckdb' as o; select v from o.t",
)
LEFT_TO_DBT = (
    "select v from read_csv('data/' || 'a.csv')",
    "select v from query('select v from ''data/a.csv''')",
    "set variable f = 'data/a.csv'; select v from read_csv(getvariable('f'))",
    "create temp macro m(f) as table select v from read_csv(f); from m('data/a.csv')",
    "import database 'dump'; select v from t",
    "select v from 'unseen/a.csv'",
)


def _files(root: Path, value: int) -> None:
    """Make files of every kind that hold a value."""
    for name in ("data/a", "data/b", "data/part_1", "data/part_2", "a", "unseen/a"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / f"{name}.csv").write_text(f"v\n{value}\n")
    (root / "data" / "a.txt").write_text(str(value))
    with duckdb.connect() as connection:
        connection.execute(f"create table t as select {value} as v")
        for kind in ("parquet", "json"):
            connection.execute(f"copy t to '{root}/data/a.{kind}'")
        connection.execute(f"export database '{root}/dump'")
    with duckdb.connect(str(root / "data" / "o.duckdb")) as other:
        other.execute(f"create table t as select {value} as v")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The project, and where the command is started."""
    folder = tmp_path_factory.mktemp("ways")
    _files(folder / "project", 1)
    _files(folder / "elsewhere", 1000)
    return folder / "project", folder / "elsewhere"


def _last(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    for statement in duckdb.extract_statements(sql):
        connection.execute(statement.query)
    rows: list[tuple[Any, ...]] = connection.fetchall()
    return rows


@pytest.mark.parametrize("sql", [*READ, *LEFT_TO_DBT])
def test_a_replay_reads_what_dbt_reads(
    sql: str, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, elsewhere = folders
    monkeypatch.chdir(project)
    with duckdb.connect() as connection:
        expected = _last(connection, sql)
    monkeypatch.chdir(elsewhere)
    told = OwnFiles(project, elsewhere / "own").observed(sql)
    known = [str(file) for file in (*(project / "data").iterdir(), project / "a.csv")]
    with duckdb.connect(config={"file_search_path": str(project)}) as connection:
        if told.startswith("attach"):  # which a replay does before its walls go up
            head, _, told = told.partition(";")
            connection.execute(head)
        reach_only(connection, known, [project / "data"])
        if sql in LEFT_TO_DBT:
            with pytest.raises(duckdb.PermissionException):
                _last(connection, told)
        else:
            assert _last(connection, told) == expected
