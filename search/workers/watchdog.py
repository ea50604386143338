"""Keeps a study within its memory budget: notices when it is exceeded, and by whom."""

from __future__ import annotations

import resource
from collections.abc import Collection
from dataclasses import dataclass

import psutil

from search.study.budget import MIB, format_bytes
from search.system import process_start
from search.system.memory import SAMPLE_SECONDS, MemorySampler, process_tree, pss_bytes
from search.system.portable import is_portable
from search.workers.contract import OUT_OF_MEMORY_ADVICE

DATA_SLACK_PERCENT = 150
"""How far a worker's private memory may go, of its share: address space is not all resident."""
DATA_SLACK_BYTES = 1024 * MIB
"""On top of that, for the stacks of threads and the pools of allocators (docs/memory.md)."""


@dataclass(frozen=True)
class Excess:
    """A budget that is exceeded, and the worker at fault.

    Attributes:
        pid: The worker's process.
        worker_bytes: What it takes.
        share_bytes: What was planned for it.
        total_bytes: What all processes of the study take together.
        budget_bytes: What they may take.
    """

    pid: int
    worker_bytes: int
    share_bytes: int
    total_bytes: int
    budget_bytes: int

    def message(self, worker: str) -> str:
        """Return what happened and what to do, for the trail.

        Args:
            worker: Name of the worker, ``host:pid``.
        """
        return (
            f"all processes of the study must take at most {format_bytes(self.budget_bytes)} "
            f"together, but they took {format_bytes(self.total_bytes)}, and worker {worker} most "
            f"beyond its share ({format_bytes(self.worker_bytes)} of "
            f"{format_bytes(self.share_bytes)}), so it was ended; {OUT_OF_MEMORY_ADVICE}"
        )


class MemoryWatchdog(MemorySampler):
    """A sampler that knows the budget and can say which worker breaks it.

    Args:
        budget_bytes: What driver, Ray and workers may take together.
        share_bytes: What was planned for one worker.
        interval_seconds: Time between two looks.
    """

    def __init__(
        self, *, budget_bytes: int, share_bytes: int, interval_seconds: float = SAMPLE_SECONDS
    ) -> None:
        super().__init__(self._watched, interval_seconds=interval_seconds)
        self.budget_bytes = budget_bytes
        self.share_bytes = share_bytes
        self._adopted: dict[int, float] = {}

    def adopt(self, pid: int) -> None:
        """Count a process of this machine that is no descendant: a worker of a shared Ray."""
        try:
            self._adopted[pid] = process_start.started(pid)
        except psutil.NoSuchProcess:
            return

    def offender(self, workers: Collection[int]) -> Excess | None:
        """Return who is most beyond its share when the budget is exceeded, else None.

        The glances of the sampling thread err on the high side, so everything is measured
        exactly before anyone is blamed.

        Args:
            workers: Pids of the workers that evaluate now.
        """
        if self.current_bytes <= self.budget_bytes or not workers:
            return None
        sizes = {pid: pss_bytes(pid) for pid in {*self._watched(), *workers}}
        total = sum(sizes.values())
        biggest = max(workers, key=lambda pid: sizes[pid])
        if total <= self.budget_bytes or sizes[biggest] <= self.share_bytes:
            return None
        return Excess(biggest, sizes[biggest], self.share_bytes, total, self.budget_bytes)

    def _watched(self) -> list[int]:
        own = process_tree()
        return [*own, *(pid for pid in self._living() if pid not in own)]

    def _living(self) -> list[int]:
        living = []
        for pid, started in list(self._adopted.items()):
            try:
                if process_start.started(pid) == started:
                    living.append(pid)
                    continue
            except psutil.NoSuchProcess:
                pass
            self._adopted.pop(pid, None)
        return living


def data_limit_bytes(share_bytes: int) -> int:
    """Return the limit of a worker's private memory, for ``limit_data``.

    Example:
        >>> data_limit_bytes(2_000_000_000)
        4073741824
    """
    return share_bytes * DATA_SLACK_PERCENT // 100 + DATA_SLACK_BYTES


def limit_data(limit_bytes: int) -> None:
    """Fail allocations of this process beyond a limit, on top of what it has now.

    The watchdog looks twice a second; this is the fence for what grows faster. An allocation
    that fails is an error of DuckDB's or Python's, and the trial fails with it.

    Source:
        ``RLIMIT_DATA`` counts private writable mappings since Linux 4.7, getrlimit(2).
    """
    if is_portable():  # elsewhere it does not count what allocators map
        return
    with open("/proc/self/status") as status:
        now = next(
            (int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:")), 0
        )
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = now + limit_bytes
    if hard == resource.RLIM_INFINITY or wanted < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
