"""What other systems than Linux give: the same facts through psutil, and what is missing there.

``SCENARIO_SEARCH_PORTABLE=1`` forces this form, so that it is tried where all tests run.

| on Linux | in the portable form |
|---|---|
| proportional set size of a process | memory that is its alone (USS), without shared pages |
| limits of containers | the machine's memory and cores |
| the kernel ends children of a killed driver | a thread of the child looks twice a second |
| a limit on a worker's allocations | the watchdog alone, which looks twice a second |
| Landlock and the look at opened files | not there: the check of statements alone |
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import psutil

VARIABLE = "SCENARIO_SEARCH_PORTABLE"
LOOK_SECONDS = 0.5


def is_portable() -> bool:
    """Return whether to do without what only Linux has."""
    return sys.platform != "linux" or os.environ.get(VARIABLE, "") not in ("", "0")


def own_bytes(pid: int) -> int:
    """Return the memory that is a process's alone, in bytes; 0 when it is gone."""
    try:
        process = psutil.Process(pid)
    except psutil.Error:
        return 0
    try:
        return int(process.memory_full_info().uss)
    except psutil.AccessDenied:
        return resident_bytes(pid)
    except psutil.Error:
        return 0


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory in bytes; 0 when it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def cores() -> int:
    """Return how many cores this process may use, at least 1."""
    affinity = getattr(psutil.Process(), "cpu_affinity", None)  # not on macOS
    return max(1, len(affinity()) if affinity is not None else os.cpu_count() or 1)


def end_with_parent(parent: int) -> None:
    """End this process, as SIGKILL does, soon after its parent is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent", daemon=True).start()
