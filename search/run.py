"""One run of a study, from the study file to the result: prepare, search, leave nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.budget import MemoryPlan, effective_budget, plan_memory
from search.child import run_in_child
from search.driver import Driver, SearchEnd
from search.errors import SearchError
from search.progress import Progress
from search.sampling.choice import choose_sampler
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import Outcome
from search.scenario.preparation import PreparationLimits, Prepared, preflight, prepare
from search.scratch import sweep_scratch
from search.spec import StudySpec, study_fingerprint
from search.storage.database import GroupingStorage, masked, open_storage
from search.storage.lock import StudyLock
from search.storage.study_store import StudyStore
from search.storage.versions import StudyVersion, latest_version, next_version
from search.targets import goals_of
from search.workers import WorkerPool, make_pool
from search.workers.memory import MemorySampler, available_memory_bytes, cores

MAX_AUTO_BATCH = 64


@dataclass(frozen=True)
class RunOptions:
    """What the caller decides, beside the study file.

    Attributes:
        results: Folder of all studies' results and of the baseline cache.
        is_restart: Start the study anew under its next version, whatever is stored.
    """

    results: Path
    is_restart: bool = False


@dataclass(frozen=True)
class RunResult:
    """What a run leaves.

    Attributes:
        study: The study's name in the storage, version included.
        end: How the search ended.
        memory: The memory plan that was kept.
        batch_size: Candidates of one iteration.
        sampler: The sampler's name.
        wall_seconds: From start to end.
        startup_seconds: Until the first candidate was submitted.
        peak_memory_bytes: Peak of all processes together, proportional set size.
        folder: The study's results folder.
        warnings: What the user should know.
    """

    study: str
    end: SearchEnd
    memory: MemoryPlan
    batch_size: int
    sampler: str
    wall_seconds: float
    startup_seconds: float
    peak_memory_bytes: int
    folder: Path
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """Where a study keeps what it writes.

    Attributes:
        results: Folder of all results.
        study: Name in the study file.
    """

    results: Path
    study: str

    @property
    def folder(self) -> Path:
        """The study's own folder."""
        return self.results / self.study

    @property
    def baselines(self) -> Path:
        """The cache of baselines, shared by all studies."""
        return self.results / "baselines"

    @property
    def lock(self) -> Path:
        """The file that keeps a second driver out."""
        return self.folder / "study.lock"

    def storage_url(self, spec: StudySpec) -> str:
        """Return the study file's storage, or the default in the study's folder."""
        return spec.storage or f"sqlite:///{self.folder / 'study.db'}"


def memory_plan(spec: StudySpec, *, baseline_bytes: int = 0) -> MemoryPlan:
    """Return how this machine's memory and cores are shared out for a study.

    Raises:
        BudgetError: If not one worker fits.
    """
    resources = spec.resources
    return plan_memory(
        budget_bytes=effective_budget(resources.memory_budget, available_memory_bytes(), None),
        requested_workers=None if resources.workers == "auto" else resources.workers,
        cores=cores(),
        threads_per_worker=resources.threads_per_worker,
        engine="dbt",
        baseline_bytes=baseline_bytes,
    )


def batch_size(spec: StudySpec, workers: int) -> int:
    """Return how many candidates an iteration proposes.

    ``auto`` is a multiple of the workers, so that none idles at the end of a batch, and at
    least 4, so that an iteration learns something.
    """
    if spec.search.batch_size != "auto":
        return spec.search.batch_size
    lanes = max(workers, 1)
    return min(MAX_AUTO_BATCH, lanes * -(-4 // lanes))
