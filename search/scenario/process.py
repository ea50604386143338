"""What this process takes: its peak memory, and who it is."""

from __future__ import annotations

import os
import resource
import socket
import sys
from pathlib import Path

from search.system.portable import is_portable

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


def reset_peak_memory() -> None:
    """Start a new measurement of this process's peak memory, where the kernel can."""
    try:
        _CLEAR_REFS.write_text("5")  # see proc(5): resets VmHWM
    except OSError:
        return


def peak_memory_bytes() -> int:
    """Return the peak resident memory since the last reset (or since the start), in bytes."""
    if is_portable():
        unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2) of macOS counts bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def worker_name() -> str:
    """Return ``host:pid`` of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"
