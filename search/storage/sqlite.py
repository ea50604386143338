"""What a SQLite storage file needs: durable connections, and a check before use."""

from __future__ import annotations

import glob
import os
import sqlite3
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage

from search.storage.vendor import models

BUSY_TIMEOUT_SECONDS = 90
"""How long a writer waits for others: a backup or a vacuum of another program may take a minute."""
_OWN_TABLES = {*models.BaseModel.metadata.tables, "alembic_version"}
HEADER = b"SQLite format 3\x00"
_DRAFT_SECONDS = 60.0
"""How old a draft must be to be a dead program's: writing one takes milliseconds."""


class DurableConnection(sqlite3.Connection):
    """A connection whose commits survive a power cut and that lets others read meanwhile.

    Set by the connection itself, because Optuna writes its schema before anyone could
    attach a listener to its engine.

    Source:
        ``synchronous=FULL`` syncs the write-ahead log at every commit; with NORMAL a
        commit in WAL mode can roll back after power loss: https://www.sqlite.org/pragma.html#pragma_synchronous
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")
        self.execute("PRAGMA journal_mode = WAL")
        self.execute("PRAGMA synchronous = FULL")
        self.execute("PRAGMA foreign_keys = ON")


def engine_options() -> dict[str, Any]:
    """Return the SQLAlchemy engine options for a SQLite storage; they pickle."""
    return {"connect_args": {"factory": DurableConnection, "timeout": BUSY_TIMEOUT_SECONDS}}


def make(path: Path) -> None:
    """Make the file with Optuna's tables at once; a file that is there stays as it is.

    Optuna makes its tables one after the other, and whoever opens the file meanwhile (a
    dashboard, another driver, a script) fails on those that exist. So they are made in memory.
    Where that cannot be (a full disk, a file system without links), no file is made: opening it
    says what is wrong, or has Optuna make it.
    """
    if path.exists():
        return
    for old in path.parent.glob(f".{glob.escape(path.name)}.*.new"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > _DRAFT_SECONDS:
                old.unlink()
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.new")
    content = _empty_database()
    with suppress(OSError):
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # A link, since a rename would replace what another program has just made.
            os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def _empty_database() -> bytes:
    storage = RDBStorage("sqlite:///:memory:")
    connection = storage.engine.raw_connection()
    try:
        content: bytes = connection.driver_connection.serialize()  # type: ignore[union-attr]
        return content
    finally:
        connection.close()
        storage.engine.dispose()


def fault(path: Path) -> str | None:
    """Return why the file cannot hold a study, as the rest of a sentence, or None.

    Creates the parent folder. A file that does not exist yet, or is empty, is fine.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"its folder cannot be created ({error.strerror})"
    if path.is_dir():
        return "it is a folder, not a file"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return "its folder is not writable"
    if not path.exists():
        return None
    if not os.access(path, os.R_OK | os.W_OK):
        return "the file is not readable and writable"
    return _content_fault(path)


def _content_fault(path: Path) -> str | None:
    with path.open("rb") as file:
        header = file.read(len(HEADER))
    if not header:
        return None
    if header != HEADER:
        return "the file is not a SQLite database"
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS)
        try:
            check = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            tables = {
                name
                for (name,) in connection.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table'"
                )
            }
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        return f"the database is damaged or locked ({error})"
    if check != "ok":
        return f"the database is damaged ({' '.join(str(check).split())})"
    is_started = tables <= _OWN_TABLES  # a process died while it made them: made good on opening
    if not is_started and not {"studies", "trials"} <= tables:
        return f"it is a database of something else (tables: {', '.join(sorted(tables)[:5])})"
    return None
