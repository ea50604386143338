"""Keeps a run's trail: events as they happen, tables between iterations, the run's own record."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.audit.anchor import Anchor
from search.audit.assemble import assemble
from search.audit.completion import missing_endings
from search.audit.custody import open_log
from search.audit.earlier import earlier_tables
from search.audit.events import read_events
from search.audit.records import RunRecord
from search.audit.trail import publish_trail
from search.parameter_sets.journal import Journal
from search.storage.attributes import FRONTIERS, RUNS
from search.storage.database import GroupingStorage
from search.storage.study_store import StudyStore
from search.study import StudySpec
from search.study.preference import Preference

PAUSES = 50
"""Between publications during a search passes at least so many times what the last one took."""


class StudyRecorder:
    """The trail of one run of a study. A context manager.

    The storage is the truth: the published tables are made from its trials, from the run
    records that it keeps as a study attribute, and from the event log.

    Args:
        folder: The study's results folder.
        spec: The study.
        storage: Holds the study and its earlier versions.
        store: The study in its storage.
        run: What is known of the run when it starts.
        clock: Seconds, monotonic.

    Attributes:
        breaks: What was changed in the trail since its last run; recorded in it for ever.

    Raises:
        AuditError: If the log cannot be read up to its end.
    """

    def __init__(
        self,
        *,
        folder: Path,
        spec: StudySpec,
        storage: GroupingStorage,
        store: StudyStore,
        run: RunRecord,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._spec = spec
        self._store = store
        self.record = run
        base_name = run.base_study or store.name
        self._earlier = earlier_tables(storage, base_name, but=store.name)
        self._log, self.breaks = open_log(
            folder, storage, base_name, study=store.name, run_id=run.run_id
        )
        self._clock = clock
        self._published_at, self._publishing_seconds = -math.inf, 0.0

    def __enter__(self) -> StudyRecorder:
        self._save()
        run = self.record
        self.event(
            "run_started",
            user=run.user_name,
            host=run.host,
            pid=run.pid,
            version=run.scenario_search_version,
            spec=run.spec_fingerprint,
            project=run.project_fingerprint,
            baseline=run.baseline_fingerprint,
            git_commit=run.git_commit,
        )
        self._complete()
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()

    @property
    def anchor(self) -> Anchor:
        """The trail's head, to be kept elsewhere."""
        return Anchor.of(self._log.head)

    def event(self, kind: str, **fields: Any) -> None:
        """Append an event; it is on disk when this returns."""
        self._log.append(kind, **fields)

    def event_batch(self, kind: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Append several events of one kind; all are on disk when this returns."""
        if events:
            self._log.append_all([(kind, fields) for fields in events])

    def finish(self, state: str, **fields: Any) -> None:
        """Note how the run ended, and publish for the last time.

        Args:
            state: ``finished``, ``interrupted`` or ``failed``.
            **fields: Further fields of the run's record.
        """
        self.record = self.record.model_copy(
            update={"state": state, "finished_at": datetime.now(UTC), **fields}
        )
        self._complete()
        self._save()
        self.event(f"run_{state}", reason=self.record.reason)
        self._publish()

    def publish(self) -> None:
        """Bring the published trail up to date, unless that was done just now.

        A publication holds all trials, so it takes longer and longer. It takes at most a
        fiftieth of the time; what happened since is in the storage and in the event log.
        """
        pause = self._clock() - self._published_at
        if pause >= self._publishing_seconds * PAUSES:
            self._publish()

    def _publish(self) -> None:
        """Replace the published trail by the present state of all versions of the study."""
        began = self._clock()
        trials, attributes = self._store.trials(), self._store.attributes()
        own = assemble(
            trials,
            [RunRecord.model_validate(run) for run in self._runs().values()],
            spec=self._spec,
            study=self._store.name,
            parameter_sets=Journal.of(self._spec).records(),
            preference=Preference.stored(self._spec, attributes),
            frontiers=attributes.get(FRONTIERS),
        )
        publish_trail(self._folder, self._earlier.joined(own), self._log, self._store)
        self._published_at = self._clock()
        self._publishing_seconds = self._published_at - began

    def _complete(self) -> None:
        """Tell of trials that ended without an event: their driver died, or was interrupted."""
        events = read_events(self._folder)
        missing = missing_endings(self._store.trials(), events, self._store.name)
        self._log.append_all(missing)

    def _runs(self) -> dict[str, Any]:
        stored = dict(self._store.attributes().get(RUNS, {}))
        stored[self.record.run_id] = self.record.model_dump(mode="json")
        return stored

    def _save(self) -> None:
        self._store.set_attributes({RUNS: self._runs()})
