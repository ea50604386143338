"""DuckDB's own log of the files that it opens, switched on and read back.

Source:
    https://duckdb.org/docs/stable/operations_manual/logging/overview: one row of type
    ``FileSystem`` for each file that is opened, read and written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import duckdb

from search.scenario.read_log import ReadLog

_OPENED = """
    select path, bool_or(op = 'WRITE') as is_written
    from duckdb_logs_parsed('FileSystem') where path is not null group by path
"""
_ATTACHED = "select path from duckdb_databases() where path is not null and not internal"
_EXTENSIONS = "select install_path from duckdb_extensions() where loaded and installed"
_DEFINITIONS = """
    select sql, true from duckdb_views() where not internal and sql is not null
    union all
    select macro_definition, false from duckdb_functions()
    where not internal and macro_definition is not null
"""


def start_file_log(connection: Any) -> None:
    """Switch the log of opened files on, for the whole DuckDB instance."""
    connection.execute("call enable_logging('FileSystem')")


def collect_file_log(connection: Any, log: ReadLog) -> None:
    """Take what was opened since the log began into ``log``, and empty it.

    A connection on which nothing can be asked any more is left alone.
    """
    with contextlib.suppress(duckdb.Error):
        for path, is_written in connection.execute(_OPENED).fetchall():
            log.files.add(path)
            if is_written:
                log.written.add(path)
        for query in (_ATTACHED, _EXTENSIONS):
            log.files |= {path for (path,) in connection.execute(query).fetchall() if path}
        for sql, is_checked in connection.execute(_DEFINITIONS).fetchall():
            log.saw_patterns(sql, is_checked=is_checked)
        connection.execute("call truncate_duckdb_logs()")


@contextlib.contextmanager
def file_log(connection: Any, log: ReadLog | None) -> Iterator[None]:
    """Notice the files that a connection opens in the block."""
    if log is None:
        yield
        return
    start_file_log(connection)
    try:
        yield
    finally:
        collect_file_log(connection, log)
