from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from search.errors import ScenarioError
from search.scenario.outside_reads import outside_read, refuse_outside_reads

READS = (
    "select extract(year from (select max(d) from 'rates.csv'))",
    *("from 'rates.csv'", 'from "rates.csv"', "from rates.csv", "from main.rates.csv"),
    *("from ('rates.csv')", "pivot 'rates.csv' on rate", "unpivot 'rates.csv' on rate"),
    *("table 'rates.csv'", 'table "rates.csv"', "describe 'rates.csv'", "summarize 'rates.csv'"),
    "select * from range(1) cross join 'rates.csv'",
    "select * from range(1) positional join 'rates.csv'",
    "select * from range(1) r, 'rates.csv'",
    "select 1 from range(1) r, lateral (from 'rates.csv')",
    "with x as (table 'rates.csv') from x",
    "select (select max(rate) from 'rates.csv')",
    "select 1 where 3 in (from rates.csv)",
    "select 1; from 'rates.csv'",
    "/* from */ from /* a */ 'rates.csv' -- b",
    "from read_csv('rates.csv')",
    "from \"read_csv\"('rates.csv')",
    "from main.read_csv_auto('rates.csv')",
    "from read_text('rates.csv')",
    "from read_blob('rates.csv')",
    "from glob('*')",
    "from sniff_csv('rates.csv')",
    "from query('from ''rates.csv''')",
    "from query_table(['rates.csv'])",
    "explain analyze from 'rates.csv'",
    "prepare p as from 'rates.csv'",
    "create macro m() as table from 'rates.csv'",
    "create table got as from 'rates.csv'",
    "copy t from 'rates.csv'",
    "attach 'old.db' (read_only)",
    "load 'some.duckdb_extension'",
    "update t set a = (select max(rate) from 'rates.csv')",
    "delete from t using 'rates.csv' r",
)
HARMLESS = (
    "select sum(pay) from fct_pay where kind = 'rates.csv'",
    "select t.csv, x.json from t join s.x on t.a = x.a",
    "select case when name in ('b.csv', 'c.csv') then 1 end from t",
    "select count(*) filter (where name like 'a/b') from main.people, range(3) r",
    "select trim(both 'x' from 'xax'), max(a) from t group by 1, (select a from t)",
    "select extract(year from '2026-01-01'::date) from t",
    "select substring(name from 2) from t group by all",
    "create table if not exists made as select * from t",
    "insert into t values ('a.csv')",
)


@pytest.mark.parametrize("sql", READS)
def test_what_reads_a_file_is_seen(
    sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outside_read(sql) is not None
    with pytest.raises(ScenarioError, match="allow_external_access"):
        refuse_outside_reads(sql)


@pytest.mark.parametrize("sql", HARMLESS)
def test_what_reads_its_database_passes(sql: str) -> None:
    assert outside_read(sql) is None
    with duckdb.connect() as connection:
        connection.execute(
            "create schema s; create table t as select 1 as a, 2 as csv, 'x' as name;"
        )
        connection.execute("create table s.x as select 1 as a, 3 as json")
        connection.execute(
            "create table people as from t; create table fct_pay as select 1 pay, 'k' as kind"
        )
        if not sql.startswith("insert"):
            connection.execute(sql)
