"""Who evaluates candidates: the driver itself, or workers in processes of their own."""

from __future__ import annotations

from search.errors import SpecError
from search.workers.contract import ClusterLimits, EvaluatorFactory, RequestEvaluator, WorkerPool
from search.workers.inline import InlinePool
from search.workers.watchdog import MemoryWatchdog

__all__ = [
    "ClusterLimits",
    "RequestEvaluator",
    "EvaluatorFactory",
    "InlinePool",
    "WorkerPool",
    "make_pool",
]


def make_pool(
    *,
    workers: int,
    threads_per_worker: int = 1,
    retries: int = 1,
    trial_timeout_seconds: float | None = None,
    start_timeout_seconds: float = 60.0,
    memory_bytes_per_worker: int | None = None,
    watchdog: MemoryWatchdog | None = None,
    cluster: ClusterLimits | None = None,
) -> WorkerPool:
    """Return the pool for a number of workers; 0 evaluates in this process.

    Args:
        workers: How many worker processes, at least 0.
        threads_per_worker: DuckDB threads of one worker; CPUs asked of a shared cluster.
        retries: How often a dead worker's request or a retryable failure is tried again.
        trial_timeout_seconds: The longest evaluation; None for no limit. Not kept by 0 workers.
        start_timeout_seconds: How long one worker may take to appear.
        memory_bytes_per_worker: What a worker asks of Ray for bookkeeping, or None. Its
            process may allocate half as much again and 1 GiB, and no more.
        watchdog: Says which worker breaks the memory budget; its trial is ended. Not asked
            by 0 workers.
        cluster: How workers spread over a cluster, if there is one.

    Raises:
        SpecError: If ``workers`` or ``retries`` is negative.
    """
    if workers < 0 or retries < 0:
        raise SpecError(f"workers and retries must be at least 0, but got {workers=}, {retries=}")
    if workers == 0:
        return InlinePool(retries=retries)
    from search.workers.ray.ray_pool import RayPool

    return RayPool(
        workers=workers,
        threads_per_worker=threads_per_worker,
        retries=retries,
        trial_timeout_seconds=trial_timeout_seconds,
        start_timeout_seconds=start_timeout_seconds,
        memory_bytes_per_worker=memory_bytes_per_worker,
        watchdog=watchdog,
        cluster=cluster,
    )
