"""What the study really takes of the machine, and what the machine has to give."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

import psutil

from search.system import portable
from search.system.portable import is_portable

SAMPLE_SECONDS = 0.5
"""How often memory is looked at."""

MAX_DUTY = 0.01
"""The most of one core that exact looks may take; between them growth is followed."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_NO_LIMIT = 2**60
"""cgroup v1 writes a huge number (2**63 less a page) where there is no limit."""


def process_tree(root: int | None = None) -> list[int]:
    """Return the pids of a process and all of its descendants.

    Args:
        root: The process; this one when None.
    """
    try:
        top = psutil.Process(root)
        return [top.pid, *(child.pid for child in top.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def pss_bytes(pid: int) -> int:
    """Return a process's proportional set size in bytes; 0 when it is gone.

    Falls back to the resident set size, which counts shared pages in full, when the
    kernel does not show the other process's maps.

    Source:
        ``Pss`` in ``/proc/<pid>/smaps_rollup``, proc_pid_smaps_rollup(5).
    """
    if is_portable():
        return portable.own_bytes(pid)
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as rollup:
            for line in rollup:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except OSError:
        pass
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


class MemorySampler:
    """Watches the memory of a set of processes from a thread, and keeps the peak.

    Args:
        pids: Gives the processes to watch at each look; this process and all of its
            descendants by default.
        interval_seconds: Time between two measurements. Exact ones are made less often
            when processes are big, glances in between.

    Example:
        >>> with MemorySampler() as sampler:
        ...     pass
        >>> sampler.peak_bytes > 0
        True
    """

    def __init__(
        self,
        pids: Callable[[], Iterable[int]] = process_tree,
        *,
        interval_seconds: float = SAMPLE_SECONDS,
    ) -> None:
        self._pids = pids
        self._interval_seconds = interval_seconds
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._known: dict[int, tuple[int, int]] = {}
        self.current_bytes = 0
        self.peak_bytes = 0

    def start(self) -> None:
        """Begin to watch. Does nothing when it watches already."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Look once more and end. May be called twice."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def look(self) -> int:
        """Measure every process now, and return the sum in bytes."""
        return self._note({pid: self._measure(pid) for pid in self._pids()})

    def glance(self) -> int:
        """Follow resident sizes since the last look, and return the sum in bytes.

        Much cheaper than a look, which makes the kernel walk all pages. Growth counts as
        not shared, so that a glance errs on the high side.
        """
        sizes = {}
        for pid in self._pids():
            known = self._known.get(pid)
            grown = _resident_bytes(pid) - known[0] if known else 0
            sizes[pid] = max(0, known[1] + grown) if known else self._measure(pid)
        return self._note(sizes)

    def _measure(self, pid: int) -> int:
        resident, pss = _resident_bytes(pid), pss_bytes(pid)
        self._known[pid] = (resident, pss)
        return pss

    def _note(self, sizes: dict[int, int]) -> int:
        self._known = {pid: known for pid, known in self._known.items() if pid in sizes}
        self.current_bytes = sum(sizes.values())
        self.peak_bytes = max(self.peak_bytes, self.current_bytes)
        return self.current_bytes

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _watch(self) -> None:
        next_look = 0.0
        while True:
            is_last = self._stop.is_set()
            if is_last or time.monotonic() >= next_look:
                began = time.thread_time()
                self.look()
                cost = time.thread_time() - began
                next_look = time.monotonic() + max(self._interval_seconds, cost / MAX_DUTY)
            else:
                self.glance()
            if is_last:
                return
            self._stop.wait(self._interval_seconds)


def available_memory_bytes() -> int:
    """Return how much memory this process may still hope for, in bytes.

    The least of the host's available memory and what each enclosing cgroup (v1 or v2)
    leaves of its limit; the page cache that a cgroup could give back counts as free.
    """
    free = int(psutil.virtual_memory().available)
    for folder in _cgroup_folders("memory"):
        limit, used = _cgroup_memory(folder)
        if limit is not None:
            free = min(free, max(0, limit - used))
    return free


def cores() -> int:
    """Return how many cores this process may use at once, at least 1.

    The least of its CPU affinity and each enclosing cgroup's quota, rounded up.
    """
    if is_portable():
        return portable.cores()
    count = float(len(os.sched_getaffinity(0)))
    for folder in _cgroup_folders("cpu"):
        quota = _cgroup_quota(folder)
        if quota is not None:
            count = min(count, quota)
    return max(1, int(-(-count // 1)))


def _resident_bytes(pid: int) -> int:
    if is_portable():
        return portable.resident_bytes(pid)
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:
            return int(statm.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def _cgroup_folders(controller: str) -> list[Path]:
    """Return this process's cgroup folder and all above it, innermost first."""
    if is_portable():
        return []
    try:
        lines = _MEMBERSHIP.read_text().splitlines()
    except OSError:
        return []
    folders: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # In a container the path is often the host's, while the mount shows the inner part.
        root = _CGROUPS / controllers if controllers else _CGROUPS
        root = root if root.is_dir() else _CGROUPS / controller
        inner = root / path.lstrip("/")
        folders += [f for f in (inner, *inner.parents) if f == root or root in f.parents]
    return folders


def _cgroup_memory(folder: Path) -> tuple[int | None, int]:
    """Return the limit (None for none) and what cannot be given back, in bytes."""
    for limit_name, used_name, cache_key in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit = _number(folder / limit_name)
        used = _number(folder / used_name)
        if limit is None or used is None or limit >= _NO_LIMIT:
            continue
        return limit, max(0, used - _stat(folder / "memory.stat", cache_key))
    return None, 0


def _cgroup_quota(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    quota_us, period_us = (
        _number(folder / "cpu.cfs_quota_us"),
        _number(folder / "cpu.cfs_period_us"),
    )
    if quota_us is None or not period_us or quota_us <= 0:
        return None
    return quota_us / period_us


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _stat(path: Path, key: str) -> int:
    try:
        for line in path.read_text().splitlines():
            name, value = line.split()
            if name == key:
                return int(value)
    except (OSError, ValueError):
        pass
    return 0
