"""Whether a study's audit trail is as it was written: one check, for the shell and for Dagster."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from search.audit.anchor import Anchor
from search.audit.integrity import Checked, verify_trail
from search.parameter_sets.journal import Journal
from search.storage.existing import existing_storage
from search.study import StudySpec
from search.study.layout import Layout


def kept_anchors(spec: StudySpec, anchors: Iterable[Anchor] = ()) -> list[Anchor]:
    """Return the heads of a study's log that were kept outside of its results.

    Those that applied parameter sets carry count as well: their journal lies in the dbt project,
    most often in git.

    Args:
        spec: The study.
        anchors: Further ones.

    Raises:
        AuditError: If the journal of parameter sets is damaged.
    """
    applied = [known.origin.anchor for known in Journal.of(spec).sets if known.origin.anchor]
    return [*anchors, *(Anchor.parse(text) for text in applied)]


def check_study(spec: StudySpec, results: Path, anchors: Iterable[Anchor]) -> Checked:
    """Check a study's trail, and that it still holds what anchors elsewhere were taken of.

    Args:
        spec: The study.
        results: Folder of all results.
        anchors: Heads of the log that were kept, see ``kept_anchors``.

    Raises:
        ResultsMissingError: If there is no trail, and no anchor that says that there was one.
        StorageError: If the storage cannot be read.
    """
    layout = Layout(results, spec.study)
    with existing_storage(layout.storage_url(spec)) as storage:
        return verify_trail(layout.folder, storage, spec.study, list(anchors))
