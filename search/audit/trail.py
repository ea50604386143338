"""Publishing a trail so that it can be checked: digests in the log, its head in the storage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from search.audit import canonical
from search.audit.events import EventLog, read_events
from search.audit.publish import publish
from search.audit.records import Record
from search.audit.schema import TABLES, AuditTables
from search.storage.attributes import HEAD
from search.storage.study_store import StudyStore

PUBLISHED = "published"
"""Kind of the event that carries the digests of what was published with it."""
EVENTS = "events"
"""The one table without a digest: it is the log itself."""


def publish_trail(folder: Path, tables: AuditTables, log: EventLog, store: StudyStore) -> None:
    """Publish the trail of a results folder.

    Args:
        folder: The results folder.
        tables: All that is to be published; events are added from the log.
        log: The folder's event log, open.
        store: The study in its storage.

    Raises:
        AuditError: If it cannot be written.
        StorageError: If the storage refuses.
    """
    if HEAD not in store.attributes():
        # So that a first publication which is cut off is known from one that somebody removed.
        store.set_attributes({HEAD: log.head})
    log.append(PUBLISHED, tables=digests(tables))
    publish(folder, replace(tables, events=tuple(read_events(folder))))
    store.set_attributes({HEAD: log.head})


def digests(tables: AuditTables) -> dict[str, str]:
    """Return a digest of each table but the events, by the table's name."""
    return {
        table.name: digest(getattr(tables, name))
        for name, table in TABLES.items()
        if name != EVENTS
    }


def digest(records: Iterable[Record]) -> str:
    """Return a digest of records; their order does not count."""
    lines = sorted(line_of(record) for record in records)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def line_of(record: Record) -> str:
    """Return a record as one line that is the same however it was stored.

    Fields without a value are left out: a version may have added some.
    """
    content: Mapping[str, object] = record.model_dump(exclude_none=True)
    return canonical.dumps(content)
