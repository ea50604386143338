"""Opening a trail to go on with it: what was changed since the last time is recorded for ever.

Without this the next run would cover the change up: its events follow those that are left, and
its publication replaces the one that no longer fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.audit.events import FILE_NAME, EventLog, read_events
from search.audit.integrity import BROKEN, LOG_MISSING, verify_trail
from search.storage.attributes import HEAD
from search.storage.database import GroupingStorage
from search.storage.study_store import StudyStore
from search.storage.versions import versions

KEPT_FINDINGS = 20
"""Findings that one event quotes; of more, their number."""


def open_log(
    folder: Path, storage: GroupingStorage, base_study: str, *, study: str, run_id: str | None
) -> tuple[EventLog, tuple[str, ...]]:
    """Open a study's event log to append to it, and record what is wrong with the trail.

    Args:
        folder: The study's results folder.
        storage: Its storage.
        base_study: The study's name in the study file.
        study: Its name in the storage; written to every event.
        run_id: The run that writes.

    Returns:
        The log, and what was found that no earlier event tells: empty when the trail is intact.

    Raises:
        AuditError: If the log cannot be read up to its end: nothing is written then.
    """
    head = remembered_head(storage, base_study)
    known = int(head["sequence"]) if head else None
    gone = [f"{FILE_NAME}: {LOG_MISSING}"] if head and not (folder / FILE_NAME).exists() else []
    log = EventLog(folder, study=study, run_id=run_id, known_sequence=known)
    try:
        told = {
            text
            for event in read_events(folder)
            if event.kind == BROKEN
            for text in event.fields.get("findings", ())
        }
        checked = verify_trail(folder, storage, base_study)
        problems = [
            finding for finding in checked.findings if finding.is_problem and finding.kind != BROKEN
        ]
        texts = [*gone, *(f"{problem.place}: {problem.text}" for problem in problems)]
        untold = tuple(text for text in texts if text not in told)
        if untold:
            log.append(BROKEN, findings=list(untold[:KEPT_FINDINGS]), found=len(untold))
    except BaseException:
        log.close()
        raise
    return log, untold


def remembered_head(storage: GroupingStorage, base_study: str) -> Mapping[str, Any] | None:
    """Return the last event that the storage remembers of any version of a study, or None."""
    heads = [
        head
        for version in versions(storage, base_study)
        if (head := StudyStore.load(storage, version.name).attributes().get(HEAD)) is not None
    ]
    return max(heads, key=lambda head: int(head["sequence"]), default=None)
