"""A second opinion: every table that sqlglot finds in a statement is found by our lexer."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot
from dbt_scenario import Around, Mini, turns
from sqlglot import exp

from search.scenario.compiled.lexer import names_in
from search.scenario.compiled.recording import record_once
from search.scenario.outcome import EvaluationRequest

STATEMENTS = (
    "select * from 't', \"S\".\"U v\" as u join main.w using (k) where a in ('x', 'y')",
    "with c as (select 1 as k) select * from c left join lateral (select * from d) as e on true",
    "select (select max(v) from a), exists (select 1 from b) from c qualify count(*) over () = 1",
    "insert into t (k) select k from s where k not in (select k from gone)",
    "update t set v = s.v from s where t.k = s.k and s.w = (select min(w) from q)",
    "delete from t using s where t.k = s.k",
    "merge into t using (select * from s) as d on t.k = d.k when matched then update set v = d.v",
    "create or replace table t as (from a union all by name from b) order by 1",
    "create view v as select * from a pivot (sum(x) for y in (1, 2))",
    "select * from a asof join b on a.k = b.k and a.t >= b.t semi join c using (k)",
    "select * from (values (1), (2)) as r (k), unnest([1, 2]) as l (x), range(3) as g, f.o",
    "from a select k, v anti join b using (k)",
    "select $$from nothing$$, e'it''s from none' from \"a\"\"b\" tablesample 5 rows",
    "copy t from 'x.csv'",
    "describe select * from a",
)


def tables_of(sql: str) -> set[str]:
    """Return the names of the tables that sqlglot finds, lower case, without common tables."""
    found: set[str] = set()
    for tree in sqlglot.parse(sql, dialect="duckdb"):
        if tree is None:
            continue
        ctes = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
        found |= {
            table.name.lower()
            for table in tree.find_all(exp.Table)
            if isinstance(table.this, exp.Identifier) and table.name.lower() not in ctes
        }
    return found


@pytest.mark.parametrize("sql", STATEMENTS)
def test_every_table_is_found(sql: str) -> None:
    try:
        expected = tables_of(sql)
    except sqlglot.errors.ParseError:
        pytest.skip("sqlglot does not read this")
    assert expected <= names_in(sql)


@pytest.mark.dbt
def test_every_table_of_what_dbt_sends_is_found(tmp_path: Path) -> None:
    snapshot = (
        "{% snapshot kept %}{{ config(unique_key='k', strategy='check', check_cols=['v'], "
        "target_schema='main') }}select k, v from {{ ref('base') }}{% endsnapshot %}"
    )
    kinds = {
        strategy: f"{{{{ config(materialized='incremental', incremental_strategy='{strategy}'"
        ", unique_key='k', on_schema_change='append_new_columns') }} "
        "select k, v from {{ ref('base') }}"
        for strategy in ("append", "merge", "delete+insert")
    }
    mini = Mini(
        tmp_path / "mini",
        {
            "base.sql": "select range as k, range * {{ var('x') }} as v from range(5)",
            "seen.sql": "{{ config(materialized='view', post_hook='create or replace table "
            "kept_rows as from {{ this }}') }} select b.* from {{ ref('base') }} b, 'base' c "
            "where b.k = c.k",
            **{f"{name.replace('+', '_')}.sql": text for name, text in kinds.items()},
        },
        {"x": {"low": 0.0, "high": 1.0, "current": 0.5}},
        {"v": "select sum(v) from base"},
        project={"models": {"mini": {"+materialized": "table"}}},
        steps=turns(2, "build"),
        around=Around(files={"snapshots/kept.sql": snapshot}),
    )
    recording = record_once(mini.factory, EvaluationRequest(0, {"x": 0.5}), report=lambda _: None)
    read = 0
    for statement in recording.statements:
        try:
            expected = tables_of(statement.sql)
        except sqlglot.errors.SqlglotError:
            continue
        read += 1
        assert expected <= names_in(statement.sql), statement.sql
    assert read > 30
