"""The workers of a study, watched so that they keep its memory budget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from search.study import StudySpec
from search.study.budget import MemoryPlan
from search.workers import make_pool
from search.workers.contract import ClusterLimits, WorkerPool
from search.workers.watchdog import MemoryWatchdog


@contextmanager
def study_pool(spec: StudySpec, memory: MemoryPlan) -> Iterator[tuple[WorkerPool, MemoryWatchdog]]:
    """Yield the workers that a study file asks for, started but not open, and what watches them.

    Args:
        spec: The study.
        memory: How memory and cores are shared out.
    """
    resources, search = spec.resources, spec.search
    with (
        MemoryWatchdog(
            budget_bytes=memory.budget_bytes, share_bytes=memory.per_worker_bytes
        ) as watchdog,
        make_pool(
            workers=memory.workers,
            threads_per_worker=resources.threads_per_worker,
            retries=search.retries,
            trial_timeout_seconds=search.trial_timeout,
            memory_bytes_per_worker=memory.per_worker_bytes,
            watchdog=watchdog,
            cluster=ClusterLimits(resources.min_workers, memory.workers_per_node),
        ) as pool,
    ):
        yield pool, watchdog
