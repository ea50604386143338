"""Which process a pid stands for: pids are used again, and clocks are set."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from search.system import portable


def started(pid: int | None = None) -> float:
    """Return when a process started, in seconds since the machine did: with its pid a name.

    Not by the calendar: Linux derives that from its clock of today, so that it moves for every
    living process when the clock is set, and a process would be taken for another one.

    Args:
        pid: The process; this one when None.

    Raises:
        psutil.NoSuchProcess: If there is none.

    Example:
        >>> started() == started(os.getpid()) > 0
        True
    """
    number = os.getpid() if pid is None else pid
    if not portable.is_portable():
        try:
            # The name before the parenthesis may hold anything; starttime is the 22nd field.
            fields = Path(f"/proc/{number}/stat").read_bytes().rpartition(b")")[2].split()
            return int(fields[19]) / os.sysconf("SC_CLK_TCK")
        except OSError:
            pass  # gone, or hidden: psutil says which
    return psutil.Process(number).create_time()


def is_same(pid: int, mark: float) -> bool:
    """Return whether a process that noted when it started is still there.

    Earlier versions noted the time of the calendar; theirs counts as well, since several may
    work in one folder.

    Raises:
        psutil.NoSuchProcess: If there is none of that pid.
    """
    return started(pid) == mark or psutil.Process(pid).create_time() == mark
