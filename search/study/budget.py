"""Memory arithmetic: from one budget to workers and DuckDB limits. Pure; sizes are bytes.

Source:
    The constants below are measured on the pinned versions; figures and method stand in
    ``docs/memory.md``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from search.errors import BudgetError

MB = 1000**2
MIB = 1024**2

DRIVER_BYTES = 300 * MB
"""The driver: Python, Optuna, the audit trail."""
RAY_BYTES = 700 * MB
"""Ray's own processes when idle, with the object store at its minimum of 75 MiB."""
WORKER_BASE_BYTES = 350 * MB
"""A worker's process with dbt before DuckDB holds data. A program alone takes less, but whether
one can be had is known after the plan, and a candidate that it does not cover is left to dbt."""
DUCKDB_PEAK_PERCENT = 115
"""DuckDB's resident peak, as a percentage of its ``memory_limit``."""
MIN_DUCKDB_BYTES = 128 * MIB
"""Least ``memory_limit`` for each DuckDB thread; below it queries fail instead of spilling."""
TEMP_PER_LIMIT = 8
"""Disk that a worker may spill to, as a multiple of its ``memory_limit``."""

_UNITS = {
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", start=1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", start=1)},
}
_SIZE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([a-z]+)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class MemoryPlan:
    """How a memory budget is shared out.

    Attributes:
        workers: Worker processes; 0 means that the driver's process evaluates.
        budget_bytes: What was shared out.
        reserved_bytes: Held back for the driver and, with workers, for Ray's processes.
        worker_base_bytes: A worker's process before DuckDB holds data.
        duckdb_memory_limit_bytes: ``memory_limit`` of each worker's DuckDB.
        per_worker_bytes: A worker's share at its peak: base plus 1.15 x ``memory_limit``.
        max_temp_bytes: Disk that each worker may spill to (``max_temp_directory_size``).
        workers_per_node: Workers of one node of a cluster at most; the budget is each node's
            then. None when all workers share it.
    """

    workers: int
    budget_bytes: int
    reserved_bytes: int
    worker_base_bytes: int
    duckdb_memory_limit_bytes: int
    per_worker_bytes: int
    max_temp_bytes: int
    workers_per_node: int | None = None

    @property
    def total_bytes(self) -> int:
        """Peak of the study on one node in bytes; at most ``budget_bytes``."""
        workers = self.workers if self.workers_per_node is None else self.workers_per_node
        return self.reserved_bytes + max(workers, 1) * self.per_worker_bytes


def parse_size(text: str | int) -> int:
    """Return a size in bytes; KB, MB, GB, TB count in 1000s and KiB, MiB, GiB, TiB in 1024s.

    Args:
        text: A number with a unit, or a whole number of bytes. Case does not matter.

    Raises:
        ValueError: If it is neither, or not at least one byte.

    Source:
        The units are DuckDB's: https://duckdb.org/docs/stable/configuration/pragmas

    Example:
        >>> parse_size("8GB"), parse_size("1.5 GiB"), parse_size(4096)
        (8000000000, 1610612736, 4096)
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 1:
        return text
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    factor = _UNITS.get(match[2].lower()) if match else None
    size = math.floor(float(match[1]) * factor) if match and factor else 0
    if size < 1:
        raise ValueError(
            f"a size must be a number above 0 with one of the units B, KB, MB, GB, TB (1000s) "
            f"or KiB, MiB, GiB, TiB (1024s), such as 8GB, but got {text!r:.60}"
        )
    return size


def format_bytes(size_bytes: float) -> str:
    """Return a size for people, in 1000s as in the study file.

    Example:
        >>> format_bytes(8_000_000_000), format_bytes(1_536_000), format_bytes(12)
        ('8.00 GB', '1.54 MB', '12 B')
    """
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "KB")):
        if abs(size_bytes) >= 1000**power:
            return f"{size_bytes / 1000**power:.2f} {unit}"
    return f"{size_bytes:.0f} B"


def effective_budget(
    requested_bytes: int, cgroup_limit_bytes: int | None, host_available_bytes: int | None
) -> int:
    """Return the budget that can be kept: the smallest of what was asked for and what there is.

    Args:
        requested_bytes: ``resources.memory_budget`` of the study file.
        cgroup_limit_bytes: The container's limit; None when there is none.
        host_available_bytes: Memory free for use on the host; None when unknown.

    Raises:
        BudgetError: If nothing is left.

    Example:
        >>> effective_budget(8_000_000_000, 4_000_000_000, None)
        4000000000
    """
    limits = (requested_bytes, cgroup_limit_bytes, host_available_bytes)
    budget = min(limit for limit in limits if limit is not None)
    if budget <= 0:
        raise BudgetError(
            f"the memory budget must be above 0, but got {requested_bytes} bytes requested, "
            f"{cgroup_limit_bytes} allowed by the container and {host_available_bytes} free on "
            f"the host; free memory or set resources.memory_budget"
        )
    return budget


def plan_memory(
    *,
    budget_bytes: int,
    requested_workers: int | None,
    cores: int,
    threads_per_worker: int,
    baseline_bytes: int,
) -> MemoryPlan:
    """Share a memory budget out to the driver, Ray and the workers.

    With ``auto`` there is one worker for each ``threads_per_worker`` cores, as long as
    every worker's DuckDB can hold the baseline (it spills when even one cannot). An
    explicit number of workers only needs DuckDB's minimum.

    Args:
        budget_bytes: Memory the study may use, after ``effective_budget``.
        requested_workers: Workers asked for; 0 evaluates in the driver's process, None is auto.
        cores: CPU cores that the study may use, at least 1.
        threads_per_worker: DuckDB threads of a worker, at least 1.
        baseline_bytes: Size of the baseline's database file.

    Raises:
        BudgetError: If the workers do not fit; the message gives the shortfall in bytes.

    Example:
        >>> plan = plan_memory(budget_bytes=8_000_000_000, requested_workers=None, cores=2,
        ...                    threads_per_worker=1, baseline_bytes=50_000_000)
        >>> plan.workers, format_bytes(plan.duckdb_memory_limit_bytes)
        (2, '2.74 GB')
    """
    reserved = DRIVER_BYTES + (0 if requested_workers == 0 else RAY_BYTES)
    base = WORKER_BASE_BYTES
    least_limit = MIN_DUCKDB_BYTES * threads_per_worker
    least_share = base + _peak(least_limit)
    if requested_workers is None:
        workers = _auto_workers(
            free_bytes=budget_bytes - reserved,
            least_share_bytes=least_share,
            wanted_share_bytes=base + _peak(max(least_limit, baseline_bytes)),
            max_workers=max(1, cores // threads_per_worker),
        )
    else:
        workers = requested_workers
    count = max(workers, 1)
    needed = reserved + count * least_share
    if needed > budget_bytes:
        fitting = (budget_bytes - reserved) // least_share
        fewer = f", or resources.workers to at most {fitting}" if 1 <= fitting < count else ""
        what = "one evaluation" if count == 1 else f"{count} workers"
        raise _too_small(budget_bytes, needed, what, fewer)
    share = (budget_bytes - reserved) // count
    limit = max(least_limit, (share - base) * 100 // DUCKDB_PEAK_PERCENT // MIB * MIB)
    return MemoryPlan(
        workers=workers,
        budget_bytes=budget_bytes,
        reserved_bytes=reserved,
        worker_base_bytes=base,
        duckdb_memory_limit_bytes=limit,
        per_worker_bytes=base + _peak(limit),
        max_temp_bytes=TEMP_PER_LIMIT * limit,
    )


def _peak(limit_bytes: int) -> int:
    return -(-limit_bytes * DUCKDB_PEAK_PERCENT // 100)


def _auto_workers(
    *, free_bytes: int, least_share_bytes: int, wanted_share_bytes: int, max_workers: int
) -> int:
    """Return workers whose share holds the baseline; at least 1, which may have to spill."""
    comfortable = free_bytes // wanted_share_bytes
    return max(1, min(max_workers, comfortable, free_bytes // least_share_bytes))


def _too_small(budget_bytes: int, needed_bytes: int, what: str, fewer: str) -> BudgetError:
    megabytes = -(-needed_bytes // MB)
    return BudgetError(
        f"the memory budget must hold {what} beside the driver and Ray: at least "
        f"{format_bytes(needed_bytes)}, but got {format_bytes(budget_bytes)}, which is "
        f"{needed_bytes - budget_bytes} bytes short; set resources.memory_budget to "
        f"{megabytes}MB or more{fewer}"
    )
