"""The trail of a study's other versions, which share its results folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.audit.assemble import assemble, assemble_records
from search.audit.records import RunRecord
from search.audit.schema import AuditTables
from search.errors import SpecError
from search.storage.attributes import FRONTIERS, RUNS, SPEC
from search.storage.database import GroupingStorage
from search.storage.study_store import StudyStore
from search.storage.versions import versions
from search.study import study_from_document
from search.study.preference import Preference


def earlier_tables(storage: GroupingStorage, base_name: str, *, but: str) -> AuditTables:
    """Return the trail of every version of a study except one; they change no more.

    Without their events: the event log of the results folder holds those of all versions.

    Args:
        storage: Of the study.
        base_name: Name in the study file.
        but: Name in the storage of the version that is left out, the present one.

    Raises:
        StorageError: If the storage cannot be read.
    """
    tables = AuditTables()
    for version in versions(storage, base_name):
        if version.name != but:
            store = StudyStore.load(storage, version.name)
            tables = tables.joined(stored_tables(store))
    return tables


def stored_tables(store: StudyStore) -> AuditTables:
    """Return the trail of one version of a study as its storage has it, without events."""
    stored = store.attributes()
    documents: Mapping[str, Any] = stored.get(RUNS) or {}
    runs = [RunRecord.model_validate(document) for document in documents.values()]
    try:
        spec = study_from_document(stored.get(SPEC) or {}, file=Path("study.yml"))
    except SpecError:
        # Written by a version with other rules: the trail lacks its targets, not its trials.
        return assemble_records(store.trials(), runs, study=store.name)
    trials = store.trials()
    preference = Preference.stored(spec, stored)
    return assemble(
        trials,
        runs,
        spec=spec,
        study=store.name,
        preference=preference,
        frontiers=stored.get(FRONTIERS),
    )
