"""DuckDB's share of the memory budget, and nothing in a project may change it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from search.errors import DatabaseError
from search.scenario.compiled.lexer import tokenize

RESOURCE_SETTINGS = frozenset(
    {
        "memory_limit",
        "max_memory",
        "threads",
        "worker_threads",
        "external_threads",
        "temp_directory",
        "max_temp_directory_size",
        "temp_file_encryption",
    }
)
"""Settings that decide how much of the machine DuckDB takes."""

DEFAULT_CONFIG: dict[str, str | bool | int | float | list[str]] = {"threads": 1}

_SCOPES = ("global", "session", "local")
_ASKED = re.compile(
    rf"\bcurrent_setting\s*\(\s*'({'|'.join(sorted(RESOURCE_SETTINGS))})'", re.IGNORECASE
)
_MENTION = re.compile("|".join(sorted(RESOURCE_SETTINGS)), re.IGNORECASE)


@dataclass(frozen=True)
class DuckLimits:
    """What one DuckDB instance may take.

    Attributes:
        memory_limit_bytes: DuckDB's buffer manager limit. The process takes about
            1.15 times that (``docs/memory.md``).
        threads: Threads of one instance.
        temp_directory: Where it spills; belongs to one worker alone.
        max_temp_bytes: The most it may spill.
    """

    memory_limit_bytes: int
    threads: int
    temp_directory: Path
    max_temp_bytes: int

    def config(self) -> dict[str, str | bool | int | float | list[str]]:
        """Return the limits as DuckDB's connection options."""
        return {
            "memory_limit": f"{self.memory_limit_bytes // 1024}KiB",
            "threads": self.threads,
            "temp_directory": str(self.temp_directory),
            "max_temp_directory_size": f"{self.max_temp_bytes // 1024}KiB",
        }


def strip_resource_settings(sql: str) -> str:
    """Return the SQL without statements that set or reset a resource setting.

    The budget is the study's; a project written for a bigger machine sets
    ``memory_limit`` or ``threads`` in its hooks. An empty string comes back when
    nothing else is left. Text that DuckDB cannot split is returned as it is: running
    it gives the better error.

    Example:
        >>> strip_resource_settings("set memory_limit = '64GB'; select 1")
        'select 1'
        >>> strip_resource_settings("select 'set threads = 8'")
        "select 'set threads = 8'"
    """
    if not _MENTION.search(sql):
        return sql
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error:
        return sql
    kept = [
        statement.query for statement in statements if not _is_resource_setting(statement.query)
    ]
    return sql if len(kept) == len(statements) else "".join(kept)


def _is_resource_setting(statement: str) -> bool:
    return setting_in(statement) in RESOURCE_SETTINGS


def setting_in(statement: str) -> str | None:
    """Return which setting a statement makes or takes back; None for a statement of another kind.

    Example:
        >>> setting_in("set global threads = 4"), setting_in("select 1")
        ('threads', None)
    """
    names = [token.name for token in tokenize(statement) if token.is_significant]
    return setting_of(names) if names[:1] in (["set"], ["reset"], ["pragma"]) else None


def asked_resources(sql: str) -> list[str]:
    """Return the settings of ours whose value SQL asks for.

    Example:
        >>> asked_resources("select current_setting('threads'), current_setting('TimeZone')")
        ['threads']
    """
    return sorted({name.lower() for name in _ASKED.findall(sql)})


def setting_of(names: Sequence[str | None]) -> str | None:
    """Return which setting a SET, RESET or PRAGMA means.

    Args:
        names: The names that its significant tokens spell, None for each that spells none.

    Example:
        >>> setting_of(["set", "global", "threads", None, None])
        'threads'
        >>> setting_of(["set", "variable", "threads", None, None])
        'variable'
    """
    is_scoped = len(names) > 2 and names[1] in _SCOPES and names[2] not in (None, "to")
    return names[2] if is_scoped else names[1] if len(names) > 1 else None


def holder_of(error: Exception) -> str | None:
    """Return who holds the lock that a DuckDB error complains of, for example ``PID 4711``.

    Example:
        >>> holder_of(Exception("Conflicting lock is held in /usr/bin/python3 (PID 4711)."))
        '/usr/bin/python3 (PID 4711)'
    """
    holder = re.search(r"held in (?P<who>.*?\(PID \d+\))", str(error))
    return holder["who"] if holder else None


@contextmanager
def connect(
    path: Path, limits: DuckLimits | None = None, *, read_only: bool = False
) -> Iterator[Any]:
    """Open a database file under limits, and close it whatever happens.

    Raises:
        DatabaseError: If the file is not a DuckDB database of this version, or another
            process holds it; the message names that process.
    """
    config = limits.config() if limits else DEFAULT_CONFIG
    try:
        connection = duckdb.connect(str(path), read_only=read_only, config=config)
    except duckdb.Error as error:
        raise open_error(path, error) from error
    try:
        hide_progress_bar(connection)
        yield connection
    finally:
        connection.close()


@cache
def takes_progress_bar() -> bool:
    """Return whether DuckDB's progress bar can be set: without ipywidgets not in a notebook.

    There it is off, and to switch it off is refused.
    """
    with duckdb.connect() as connection:
        try:
            connection.execute("set enable_progress_bar = false")
        except duckdb.InvalidInputException:
            return False
    return True


def hide_progress_bar(connection: Any) -> None:
    """Keep a connection from drawing on stdout."""
    if takes_progress_bar():
        connection.execute("set enable_progress_bar = false")


def open_error(path: Path, error: Exception) -> DatabaseError:
    """Return the error for a database that cannot be opened, in words for its owner."""
    holder = holder_of(error)
    if holder:
        return DatabaseError(
            f"database {path} must be free, but {holder} holds it; close it there and start again"
        )
    return DatabaseError(
        f"database {path} cannot be opened by duckdb {duckdb.__version__}: {error}"
    )
