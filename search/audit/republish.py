"""Publishing a study's trail again between runs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.audit.custody import open_log
from search.audit.earlier import earlier_tables, stored_tables
from search.audit.records import ParameterSetRecord
from search.audit.schema import AuditTables
from search.audit.trail import publish_trail
from search.errors import LeaseError
from search.storage.existing import existing_storage
from search.storage.lock import StudyLock
from search.storage.study_store import StudyStore
from search.storage.versions import latest_version
from search.study import StudySpec


def republish(
    spec: StudySpec,
    folder: Path,
    url: str,
    *,
    lock: Path,
    parameter_sets: Sequence[ParameterSetRecord],
    event: tuple[str, Mapping[str, Any]],
) -> bool:
    """Note an event in a study's log and publish its trail with it.

    Args:
        spec: The study.
        folder: Its results folder.
        url: Its storage.
        lock: The file of its lock.
        parameter_sets: The sets that the study applied.
        event: Kind and fields of the event.

    Returns:
        Whether it was published: not before the first run, nor while a driver runs, whose
        next publication has the sets as well.
    """
    with contextlib.suppress(LeaseError), existing_storage(url) as storage:
        latest = latest_version(storage, spec.study) if storage else None
        if storage is None or latest is None or not folder.exists():
            return False
        with StudyLock(lock):
            store = StudyStore.load(storage, latest.name)
            tables = earlier_tables(storage, spec.study, but=store.name)
            tables = tables.joined(stored_tables(store))
            tables = tables.joined(AuditTables(parameter_sets=parameter_sets))
            log, _ = open_log(folder, storage, spec.study, study=store.name, run_id=None)
            with log:
                kind, fields = event
                log.append(kind, **fields)
                publish_trail(folder, tables, log, store)
            return True
    return False
