from __future__ import annotations

import pytest

from search.scenario.writes import outside_writes


@pytest.mark.parametrize(
    ("sql", "kind", "path"),
    [
        ("copy t to 'out.csv'", "copy", "out.csv"),
        (
            "COPY (select 1 from 'x' where a = (select 2)) TO 'it''s.parquet' (format parquet)",
            "copy",
            "it's.parquet",
        ),
        ("/* dbt */ copy main.t (a, b) to 'o'", "copy", "o"),
        ("copy t to (getvariable('f'))", "copy", None),
        ('copy t to "o.csv"', "copy", "o.csv"),
        ("copy t to o", "copy", None),
        ("attach other as o", "attach", None),
        ('attach "other.db" as "o"', "attach", "other.db"),
        ("attach (getvariable('f')) as \"o\"", "attach", None),
        ("explain analyze copy t to 'o'", "copy", "o"),
        ("prepare p as copy t to 'o'", "copy", "o"),
        ("with x as (copy (select 1) to 'o') select 1", "copy", None),
        ("export database 'folder'", "export", "folder"),
        ("export database d to 'folder' (format csv)", "export", "folder"),
        ("attach 'other.db'", "attach", "other.db"),
        ("attach or replace database 'other.db' as o", "attach", "other.db"),
        ("attach 'other.db' as o (read_only false)", "attach", "other.db"),
        ("install httpfs", "install", None),
        ("force install httpfs from core", "install", None),
        ("update extensions", "install", None),
        ("create persistent secret s (type s3)", "secret", None),
        ("create or replace persistent secret s (type s3)", "secret", None),
        ("set log_query_path = 'q.log'", "log", None),
        ("set global profiling_output = 'p.txt'", "log", None),
        ("call enable_logging(storage = 'file', storage_path = 'x')", "log", None),
        ("pragma profiling_output = 'p.txt'", "log", None),
    ],
)
def test_what_writes_is_found(sql: str, kind: str, path: str | None) -> None:
    (write,) = outside_writes(sql)
    assert (write.kind, write.path) == (kind, path)
    assert "\n" not in write.text()


@pytest.mark.parametrize(
    "sql",
    [
        "copy t from 'in.csv'",
        "copy from database a to b",
        "attach ':memory:' as m",
        "attach 'other.db' as o (type duckdb, read_only)",
        "attach 'other.db' as o (read_only true)",
        "select copy, install, 'export database x' from attach where persistent",
        "select * from read_csv('copy t to x')",
        "create secret s (type s3)",
        "call enable_logging()",
        "reset profiling_output",
        "-- copy t to 'x'\nselect 1",
        "this is no SQL at all, not even copy to",
    ],
)
def test_what_only_reads_passes(sql: str) -> None:
    assert outside_writes(sql) == ()
