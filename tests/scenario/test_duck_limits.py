from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from search.errors import DatabaseError
from search.scenario.duck_limits import DuckLimits, connect, strip_resource_settings

MIB = 2**20


@pytest.mark.parametrize(
    "sql",
    [
        "set memory_limit = '64GB'",
        "SET GLOBAL max_memory='64GB';",
        "pragma threads = 16",
        "PRAGMA threads=16; set memory_limit='1TB'",
        "/* big machine */ set threads to 8",
        "-- big machine\nset threads to 8",
        "reset memory_limit",
        "set \"temp_directory\" = '/tmp'",
        "set session max_temp_directory_size = '1TB'",
        "/* /* */ big machine */ set memory_limit = '64GB'",
        "-- big machine\rset threads to 8",
        "set\u200bthreads = 8",
        'set global "threads" to 8',
    ],
)
def test_resource_settings_are_dropped(sql: str) -> None:
    assert strip_resource_settings(sql).strip(" ;") == ""


@pytest.mark.parametrize(
    "sql",
    [
        "set TimeZone = 'UTC'",
        "select 'set memory_limit = 1'",
        "create table threads as select 1 as memory_limit",
        "select memory_limit, threads from machines",
        "this is not SQL, threads",
    ],
)
def test_everything_else_stays_as_it_is(sql: str) -> None:
    assert strip_resource_settings(sql) == sql


def test_limits_hold_in_a_connection(tmp_path: Path) -> None:
    limits = DuckLimits(100 * MIB, 1, tmp_path / "spill", 7 * MIB)
    with connect(tmp_path / "a.duckdb", limits) as connection:
        read = connection.execute(
            "select current_setting('memory_limit'), current_setting('threads'),"
            " current_setting('temp_directory'), current_setting('max_temp_directory_size')"
        ).fetchone()
    assert read == ("100.0 MiB", 1, str(tmp_path / "spill"), "7.0 MiB")


@contextmanager
def held_by_another(path: Path) -> Iterator[int]:
    """Hold a database in another process, whose pid is given."""
    code = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True);"
        " sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process.pid
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def test_a_database_that_another_process_holds_is_told_with_its_pid(tmp_path: Path) -> None:
    path = tmp_path / "held.duckdb"
    with (
        held_by_another(path) as pid,
        pytest.raises(DatabaseError, match=rf"PID {pid}\) holds it; close it there"),
        connect(path, read_only=True),
    ):
        pass


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "text.duckdb"
    path.write_text("not a database, but long enough to look like a file of some kind" * 100)
    with (
        pytest.raises(DatabaseError, match=f"cannot be opened by duckdb {duckdb.__version__}"),
        connect(path),
    ):
        pass
