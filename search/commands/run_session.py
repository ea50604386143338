"""What all versions of a study that one run may search have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from search.driver.warm_start import EarlierStudy
from search.scenario.plan import ScenarioPlan
from search.storage.database import GroupingStorage
from search.study.budget import MemoryPlan
from search.system.memory import MemorySampler
from search.system.unchanged import Unchanged
from search.workers import WorkerPool


@dataclass(frozen=True)
class Session:
    """One run, prepared.

    Attributes:
        started: When it began, in ``time.monotonic`` seconds.
        started_at: The same by the calendar, UTC.
        memory: What driver and workers may take.
        pool: Evaluates candidates.
        sampler: Watches the memory.
        storage: Where trials are stored.
        fingerprints: Of all that the outcomes depend on.
        plan: What workers run.
        inputs: What the scenario reads, and what it held.
        earlier: Studies whose best candidates are tried first.
        watched: The files of the dbt project, which must stay as they are.
        read: The files that the scenario reads, which must as well.
        tables: What the study's checks show of its data.
    """

    started: float
    started_at: datetime
    memory: MemoryPlan
    pool: WorkerPool
    sampler: MemorySampler
    storage: GroupingStorage
    fingerprints: Mapping[str, str]
    plan: ScenarioPlan
    inputs: Mapping[str, str]
    earlier: tuple[EarlierStudy, ...]
    watched: Unchanged
    read: Unchanged
    tables: Sequence[Mapping[str, Any]] = ()

    def edited(self) -> list[str]:
        """Return the files that are not what they were when the study was prepared."""
        return [str(path) for path in (*self.watched.changed(), *self.read.changed())]
