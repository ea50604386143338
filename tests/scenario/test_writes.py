from __future__ import annotations

import pytest

from search.scenario.writes import for_reading, outside_writes


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
        ("copy main.from to 'o'", "copy", "o"),
        ("copy (select 1) /* /* */ from x */ to 'o'", "copy", "o"),
        ("copy (select 1) -- from\r to 'o'", "copy", "o"),
        ("with a$b$ as (copy (select 1) to 'o') select 1 as c$b$", "copy", None),
        ("copy (select 1) to 'own'\n'/../o'", "copy", None),
        ("export database 'own'\n'/../o'", "export", None),
        ("copy\u200b(select 1)\u2060to\ufeff'o'", "copy", "o"),
        ("explain (analyze, format json) copy (select 1) to 'o'", "copy", "o"),
        ("attach 'o.db' as read_only", "attach", "o.db"),
        ("attach 'o.db' (read_only no)", "attach", "o.db"),
        ("attach 'o.db' (read_only 'f')", "attach", "o.db"),
        ("attach 'o.db' as o (read_only -0)", "attach", "o.db"),
        ("attach 'o.db' (\"read_only\" 0.0)", "attach", "o.db"),
        ("attach 'o.db' as o (type '')", "attach", "o.db"),
        ("attach ('o' || '.db') as read_only", "attach", None),
        ("create secret s in local_file (type http)", "secret", None),
        ('create secret s in "local_file" (type http)', "secret", None),
        ("drop persistent secret s", "secret", None),
        ("set \"log_query_path\" = 'q.log'", "log", None),
        ("set\u200blog_query_path = 'q.log'", "log", None),
        ("set session \"profiling_output\" to 'p.json'", "log", None),
        ("pragma \"log_query_path\" = 'q.log'", "log", None),
        ("call \"enable_logging\"(storage = 'file', storage_path = 'x')", "log", None),
        ("call enable_logging(storage_path = getvariable('x'))", "log", None),
        ("select * from enable_logging(storage = 'file', storage_path = 'x')", "log", None),
        ("with x as (from enable_logging(storage_path = 'x')) from x", "log", None),
        ("create macro m() as table from enable_profiling(save_location = 'x')", "log", None),
        ("from query('from enable_logging(storage_path = ''x'')')", "log", None),
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
        "attach 'other.db' (\"read_only\")",
        "create secret s in memory (type s3)",
        "create secret secret (type s3)",
        "set variable log_query_path = 'x'",
        "select enable_logging from t",
        "select 'enable_logging(1)' as a",
        "copy \"from\" (a) from 'in.csv'",
        "-- copy t to 'x'\nselect 1",
        "this is no SQL at all, not even copy to",
    ],
)
def test_what_only_reads_passes(sql: str) -> None:
    assert outside_writes(sql) == ()


@pytest.mark.parametrize(
    ("sql", "given"),
    [
        ("attach 'o.db'", "attach 'o.db' (READ_ONLY)"),
        ("attach 'o.db' as read_only; -- it", "attach 'o.db' as read_only (READ_ONLY)"),
        ("attach 'o.db' (read_write)", "attach 'o.db' (READ_ONLY)"),
        ("attach ('o' || '.db') (type duckdb)", "attach ('o' || '.db') (type duckdb, READ_ONLY)"),
        ("attach 'o.db' (read_only no, type duckdb)", "attach 'o.db' (type duckdb, READ_ONLY)"),
    ],
)  # fmt: skip
def test_an_attach_is_made_one_for_reading(sql: str, given: str) -> None:
    assert for_reading(sql) == given
    assert outside_writes(given) == ()
