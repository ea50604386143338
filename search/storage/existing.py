"""Opening a storage to read it, without making one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy

from search.storage.database import GroupingStorage, open_storage

SQLITE = "sqlite:///"


@contextlib.contextmanager
def existing_storage(url: str) -> Iterator[GroupingStorage | None]:
    """Open a storage that is there; one that is not is not created.

    Yields:
        The storage, or None when it does not exist or holds no studies.

    Raises:
        StorageError: If it is there and cannot be opened.
    """
    if not _is_there(url):
        yield None
        return
    storage = open_storage(url)
    try:
        yield storage
    finally:
        # The last reader to leave takes SQLite's log files with it.
        storage.remove_session()
        storage.engine.dispose()


def _is_there(url: str) -> bool:
    if url.startswith(SQLITE):
        file = Path(url.removeprefix(SQLITE))
        return file.exists() and file.stat().st_size > 0
    engine = None
    try:
        engine = sqlalchemy.create_engine(url)
        return bool(sqlalchemy.inspect(engine).has_table("studies"))
    except (sqlalchemy.exc.SQLAlchemyError, ImportError):
        return True  # opening it gives the better message
    finally:
        if engine is not None:
            engine.dispose()
