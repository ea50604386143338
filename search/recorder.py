"""Keeps a run's trail: events as they happen, tables at each iteration, the run's own record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search.audit.assemble import assemble, metrics_of
from search.audit.events import EventLog, read_events
from search.audit.publish import publish
from search.audit.records import RunRecord, TrialEvent
from search.audit.schema import AuditTables
from search.spec import StudySpec, expand_metrics, study_from_document
from search.storage.attributes import ITERATION
from search.storage.database import GroupingStorage
from search.storage.study_store import StudyStore
from search.storage.versions import versions
from search.targets import Goal, goals_of, resolve_goals

RUNS = "runs"
"""Study attribute: run id to the run's record."""


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
    """

    def __init__(
        self,
        *,
        folder: Path,
        spec: StudySpec,
        storage: GroupingStorage,
        store: StudyStore,
        run: RunRecord,
    ) -> None:
        self._folder = folder
        self._spec = spec
        self._storage = storage
        self._earlier_tables: AuditTables | None = None
        self._store = store
        self.record = run
        self._log = EventLog(folder, study=store.name, run_id=run.run_id)

    def __enter__(self) -> StudyRecorder:
        self._save()
        self.event("run_started", user=self.record.user_name, host=self.record.host)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()

    def event(self, kind: str, **fields: Any) -> None:
        """Append an event; it is on disk when this returns."""
        self._log.append(kind, **fields)

    def finish(self, state: str, goals: Sequence[Goal], **fields: Any) -> None:
        """Note how the run ended, and publish for the last time.

        Args:
            state: ``finished``, ``interrupted`` or ``failed``.
            goals: The study's goals, as far as they are resolved.
            **fields: Further fields of the run's record.
        """
        self.record = self.record.model_copy(
            update={"state": state, "finished_at": datetime.now(UTC), **fields}
        )
        self._save()
        self.event(f"run_{state}", reason=self.record.reason)
        self.publish(goals)

    def publish(self, goals: Sequence[Goal]) -> None:
        """Replace the published trail by the present state of all versions of the study."""
        events = list(read_events(self._folder))
        own = _tables(self._store, self._spec, goals, events)
        publish(self._folder, self._earlier(events).joined(own))

    def _earlier(self, events: Sequence[TrialEvent]) -> AuditTables:
        """Return the trail of the study's earlier versions, which no longer changes."""
        if self._earlier_tables is None:
            tables = AuditTables()
            base_name = self.record.base_study or self._store.name
            for version in versions(self._storage, base_name):
                if version.name != self._store.name:
                    store = StudyStore.create_or_load(self._storage, version.name)
                    document = store.attributes().get("spec")
                    if document is not None:
                        spec = study_from_document(document, file=self._spec.file)
                        goals = goals_at_current(goals_of(spec), store.finished())
                        tables = tables.joined(_tables(store, spec, goals, events))
            self._earlier_tables = tables
        return self._earlier_tables

    def _save(self) -> None:
        runs = dict(self._store.attributes().get(RUNS, {}))
        runs[self.record.run_id] = self.record.model_dump(mode="json")
        self._store.set_attributes({RUNS: runs})


def _tables(
    store: StudyStore, spec: StudySpec, goals: Sequence[Goal], events: Sequence[TrialEvent]
) -> AuditTables:
    runs = store.attributes().get(RUNS, {})
    return assemble(
        store.trials(),
        [RunRecord.model_validate(one) for one in runs.values()],
        study=store.name,
        goals=goals,
        parameter_units={name: one.unit for name, one in spec.parameters.items()},
        metric_units={metric.name: metric.unit for metric in expand_metrics(spec)},
        events=[event for event in events if event.study == store.name],
    )


def goals_at_current(goals: Sequence[Goal], trials: Iterable[FrozenTrial]) -> tuple[Goal, ...]:
    """Return the goals with relative ones resolved by the trial of the current parameters."""
    for trial in trials:
        if trial.state == TrialState.COMPLETE and trial.user_attrs.get(ITERATION) == 0:
            return resolve_goals(goals, metrics_of(trial))
    return tuple(goals)
