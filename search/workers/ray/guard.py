"""Ends a private Ray as soon as its driver is gone: ``python guard.py FOLDER``.

Ray's servers die with a killed driver, but not those that were just being started, and two of Ray's
helpers linger for a minute: they try to report the death to a server that died as well
(``publish_error`` in Ray 2.60 has a fixed timeout of 60 s). The guard is there before Ray is. It
reads ``pid:start_ticks`` lines until the end of its standard input, which only the driver holds
open, then kills these, and whatever names the folder in its command line or environment, until
nothing is left. It imports next to nothing, to stay small.
"""

import os
import signal
import sys
import time

SEARCH_SECONDS = 3.0
"""How long to look for processes that were being started when the driver died."""
LOOK_SECONDS = 0.1
IS_PORTABLE = sys.platform != "linux" or os.environ.get("SCENARIO_SEARCH_PORTABLE", "") not in (
    "",
    "0",
)
"""As ``search.system.portable`` has it, which a small process does not import."""


def start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; 0 when it is gone.

    Source:
        Field 22 of ``/proc/<pid>/stat``, proc_pid_stat(5); counted after the name, which
        may hold spaces.
    """
    if IS_PORTABLE:
        return _portable_ticks(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[19])
    except OSError:
        return 0


def naming(folder: bytes) -> list[int]:
    """Return the processes of this user that have a folder in their command or environment."""
    if IS_PORTABLE:
        return _portable_naming(folder)
    pids = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            if os.stat(f"/proc/{name}").st_uid != os.getuid():
                continue
            for what in ("cmdline", "environ"):
                with open(f"/proc/{name}/{what}", "rb") as file:
                    if folder in file.read():
                        pids.append(int(name))
                        break
        except OSError:
            continue
    return pids


def _portable_ticks(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).create_time() * 100)
    except psutil.Error:
        return 0


def _portable_naming(folder: bytes) -> list[int]:
    import psutil

    pids = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.uids().real != os.getuid():
                continue
            environment = (f"{name}={value}" for name, value in process.environ().items())
            said = "\n".join([*process.cmdline(), *environment])
        except (psutil.Error, OSError):
            continue
        if os.fsdecode(folder) in said:
            pids.append(process.pid)
    return pids


def kill(pid: int) -> None:
    """Kill a process that may be gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def main(home: str) -> None:
    """Wait for the end of standard input, then end what the driver left and remove its folder."""
    for name in sys.stdin.read().split():
        pid, ticks = (int(part) for part in name.split(":"))
        if start_ticks(pid) == ticks:  # else the pid is someone else's by now
            kill(pid)
    if not os.path.isdir(home):
        return  # the driver ended in order and removed it
    mark = os.fsencode(home) + b"/"
    until = time.monotonic() + SEARCH_SECONDS
    while time.monotonic() < until:
        for pid in naming(mark):
            kill(pid)
        time.sleep(LOOK_SECONDS)
    import shutil

    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
