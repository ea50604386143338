"""Ends named processes as soon as its parent is gone: ``python guard.py pid:start_ticks ...``.

Ray's servers die with a killed driver, but two of Ray's helpers linger for a minute: they
try to report the death to a server that died as well (``publish_error`` in Ray 2.60 has a
fixed timeout of 60 s). The guard waits for the end of its standard input, which only the
driver holds open, and then kills what is left. It imports next to nothing, to stay small.
"""

import os
import signal
import sys


def start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; 0 when it is gone.

    Source:
        Field 22 of ``/proc/<pid>/stat``, proc_pid_stat(5); counted after the name, which
        may hold spaces.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[19])
    except OSError:
        return 0


def main(names: list[str]) -> None:
    """Wait for the end of standard input, then kill the processes that still run."""
    sys.stdin.read()
    for name in names:
        pid, ticks = (int(part) for part in name.split(":"))
        if start_ticks(pid) == ticks:  # else the pid is someone else's by now
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


if __name__ == "__main__":
    main(sys.argv[1:])
