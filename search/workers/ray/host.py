"""Ray's life: a private one for this study, or the cluster that ``RAY_ADDRESS`` names."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from search.errors import WorkerError
from search.system import interrupt
from search.system.scratch import create_scratch, remove_scratch, sweep_scratch
from search.workers.ray import guard, vendor
from search.workers.ray.processes import (
    children_of,
    command_of,
    end_all,
    is_alive,
    kill_all,
    program_of,
)
from search.workers.ray.signals import kept_handlers, reinstall_handlers

OBJECT_STORE_BYTES = 75 * 2**20
"""Ray's minimum. Only the evaluator factory travels through the store."""

MAX_PARENT_LENGTH = 18
"""A socket path has 107 characters; Ray appends 62 of them, our two folders' names 27."""

LOOPBACK = "127.0.0.1"
SERVERS = ("gcs_server", "raylet")
SLICE_SECONDS = 0.2
"""The longest single wait while Ray starts: what signals and other threads raise must arrive."""

ANSWER_SECONDS = 5.0
"""How long a cluster gets to accept a connection; Ray itself would try for ten minutes."""


ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=2000"}
"""What workers tell the C library, which reads it when a process starts; others do not look at it.

DuckDB plans a statement with hundreds of thousands of small pieces, and a tenth to a fifth of a
candidate's processor time went into giving them back to the heap and asking for them again. So a
thread keeps 2,000 free pieces of each size instead of 7: at most 66 MB, 5 MB where SQL is replayed,
67 MB where dbt itself evaluates. One setting alone: of several, a grandchild inherits the first.
Figures stand in ``docs/compiled.md``.
"""

_ENVIRONMENT = {
    **ALLOCATOR,
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's memory monitor kills workers when the *host* is 95 % full, whoever filled it.
    # The study keeps its own budget and says which setting to change.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_enable_metrics_collection": "0",
}

_JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""A driver that was submitted to a cluster as a job is told by it what its workers get."""

_logger = logging.getLogger(__name__)


class RayHost:
    """Starts Ray in a thread of its own, and ends it without leaving anything.

    Three things decide the shape:

    * Ray asks the kernel to kill its servers when the *thread* that started them ends
      (``PR_SET_PDEATHSIG``). The thread therefore lives until ``stop``; in exchange a
      driver that is killed takes Ray with it.
    * Outside the main thread ``ray.init`` leaves Python's SIGTERM handler alone; the one
      that its native part installs is undone.
    * Ray listens on all interfaces; here on loopback alone. Its token authentication is on by
      default in 2.60 and writes a token to the home folder; here the token is random and lives
      in the environment only, so nobody else can join, and no file is left.

    Args:
        cpus: CPUs that the private Ray offers; one for each worker.
        memory_bytes: Memory that the private Ray offers for bookkeeping; None lets Ray choose.
    """

    def __init__(self, *, cpus: int, memory_bytes: int | None = None) -> None:
        self.address = os.environ.get("RAY_ADDRESS")
        self._cpus = cpus
        self._memory_bytes = memory_bytes
        self._thread: threading.Thread | None = None
        self._is_up = threading.Event()
        self._is_wanted = threading.Event()
        self._is_down = threading.Event()
        self._error: BaseException | None = None
        self._servers: list[psutil.Process] = []
        self._launched: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._is_abandoned = False
        self._known: set[psutil.Process] = set()
        self._guard: subprocess.Popen[bytes] | None = None
        self._home: Path | None = None
        self.folder: Path | None = None
        self.start_seconds = 0.0

    @property
    def is_private(self) -> bool:
        """Whether this study has a Ray of its own, on this machine."""
        return self.address is None

    def start(self) -> None:
        """Begin to start Ray, and return at once. Does nothing when it was begun before.

        Raises:
            WorkerError: If nobody listens at the cluster's address.
        """
        if self._thread is None:
            try:
                _require_answer(self.address or "")
            except OSError as error:
                raise self._unreachable(error) from error
            self._thread = threading.Thread(target=self._live, name="ray-host", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait until Ray is up.

        Raises:
            WorkerError: If Ray did not start; the message has Ray's own words.
        """
        self.start()
        while not self._is_up.wait(timeout=SLICE_SECONDS):
            interrupt.check()
            self._require_starting()
        reinstall_handlers(signal.SIGTERM, signal.SIGINT)
        if self._error is not None:
            raise self._unreachable(self._error) from self._error

    def _require_starting(self) -> None:
        """Raise if a server died while Ray starts: Ray itself would wait for it for 35 to 45 s.

        Raises:
            WorkerError: Naming the server.
        """
        if not self.is_private:
            return
        for name, process in list(self._launched):
            if name in SERVERS and process.poll() is not None:
                self._is_abandoned = True
                raise self._unreachable(
                    RuntimeError(f"its server {process.pid} died while Ray was starting")
                )

    def _unreachable(self, error: BaseException) -> WorkerError:
        where = "a private Ray" if self.is_private else f"Ray at RAY_ADDRESS={self.address}"
        return WorkerError(
            f"{where} must be reachable, but it is not: {error}; "
            "run `scenario-search doctor`, or use `--workers 0` to do without Ray"
        )

    @property
    def is_broken(self) -> bool:
        """Whether a server of the private Ray died, so that calls to Ray would block."""
        return not all(is_alive(server) for server in self._servers)

    def check(self) -> None:
        """Raise if one of the private Ray's servers died.

        Raises:
            WorkerError: Naming the dead process.
        """
        for server in self._servers:
            if not is_alive(server):
                raise WorkerError(
                    f"Ray's process {server.pid} must live as long as the study, but it died; "
                    "finished trials are stored: start the study again to go on"
                )

    def know(self, process: psutil.Process) -> None:
        """Remember a worker's process, to be sure of its end."""
        self._known.add(process)

    def stop(self) -> None:
        """End Ray, wait for its processes, remove its folder. May be called twice."""
        if self._thread is None:
            return
        self._is_wanted.set()
        if self._is_abandoned:
            self._abandon()
            return
        while not self._is_down.wait(timeout=1.0):
            pass
        self._thread.join()
        self._thread = None

    def _abandon(self) -> None:
        """End what was started; the thread that still waits inside Ray ends with the process."""
        for _, process in self._launched:
            process.kill()
        kill_all(self._find_servers())
        self._thread = None
        if self._guard is not None:
            self._guard.communicate()  # ends the rest, and removes the folder
            self._guard = None
        interrupt.leave_at_end()

    def _live(self) -> None:
        # Ray sets the mode itself, and only then refreshes the copy that it keeps.
        names = [*_private_environment(), "RAY_AUTH_MODE"]
        saved = {name: os.environ.get(name) for name in names}
        try:
            started = time.monotonic()
            try:
                with kept_handlers(signal.SIGTERM, signal.SIGINT):
                    self._connect()
            finally:
                self.start_seconds = time.monotonic() - started
        except BaseException as error:
            self._error = error
            self._is_up.set()
        else:
            self._is_up.set()
            self._is_wanted.wait()
        finally:
            try:
                self._disconnect()
            except Exception:
                _logger.exception("Ray did not shut down cleanly")
            finally:
                if self.is_private:
                    _restore_environment(saved)
                self._is_down.set()

    def _connect(self) -> None:
        if self.is_private:
            os.environ.update(
                {k: v for k, v in _private_environment().items() if k not in os.environ}
            )
        import ray

        if ray.is_initialized():
            raise RuntimeError(
                "this process is connected to Ray already, and one connection is all it can "
                "have; call ray.shutdown() first"
            )
        options: dict[str, Any] = {
            "logging_level": logging.ERROR,
            "log_to_driver": False,
        }
        if _JOB_VARIABLE not in os.environ:
            options["job_config"] = _without_folders()
        vendor.keep_off_stdout()
        if not self.is_private:
            if str(self.address).startswith(("http://", "https://")):
                raise RuntimeError(
                    "it is the address of a dashboard, for jobs, and workers join by host:port "
                    "(`ray start` shows it); name dashboards with RAY_API_SERVER_ADDRESS"
                )
            ray.init(address=self.address, **options)
            return
        parent = _short_temp_folder()
        sweep_scratch(parent)
        # Ray opens its own folder to everybody (mode 0777); inside ours nobody else comes there.
        self._home = create_scratch(parent)
        self.folder = self._home / "r"
        self._guard = _launch_guard(self._home)
        if self._memory_bytes is not None:
            options["_memory"] = self._memory_bytes
        with vendor.starting_on_loopback(self._launched):
            ray.init(
                address="local",
                num_cpus=self._cpus,
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                _temp_dir=str(self.folder),
                _node_ip_address=LOOPBACK,
                **options,
            )
        servers = self._find_servers()
        self._known.update(servers)
        for server in servers:
            self._known.update(children_of(server))
        _tell(self._guard, self._known)
        # Helpers (log and autoscaler monitors) may die without harm; these two may not.
        self._servers = [s for s in servers if program_of(s) in SERVERS]

    def _disconnect(self) -> None:
        import ray

        if self.is_private:
            for server in self._find_servers():
                self._known.add(server)
                self._known.update(children_of(server))
        if self.is_broken:
            kill_all(self._known)
        ray.shutdown()
        end_all(self._known)
        if self._guard is not None:
            if self._home is not None:
                remove_scratch(self._home)
            self._guard.communicate()  # the end of its input is its signal
            self._guard = None
        self._known.clear()
        self._servers.clear()

    def _find_servers(self) -> list[psutil.Process]:
        if self.folder is None:
            return []
        mark = str(self.folder)
        children = psutil.Process().children()
        return [child for child in children if any(mark in word for word in command_of(child))]


@cache
def _token() -> str:
    """Return this process's token: Ray caches the first one that it sees."""
    return secrets.token_hex(32)


def _private_environment() -> dict[str, str]:
    return {**_ENVIRONMENT, "RAY_AUTH_TOKEN": _token()}


def _restore_environment(saved: dict[str, str | None]) -> None:
    for name, value in saved.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _require_answer(address: str) -> None:
    """Raise OSError when nobody listens at ``host:port``; other forms are left to Ray."""
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdigit():
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS):
            pass


def _short_temp_folder() -> Path:
    folder = Path(tempfile.gettempdir())
    return folder if len(str(folder)) <= MAX_PARENT_LENGTH else Path("/tmp")


def _without_folders() -> Any:
    """Return a job whose workers do not look for modules in this process's folders.

    ``ray.init`` appends the working folder and the script's to this list, and workers put them
    in front: a file of the analyst's that is called random.py would be executed there.
    """
    from ray.job_config import JobConfig

    return JobConfig(_py_driver_sys_path=_Closed())


class _Closed(list[str]):
    """A list that takes nothing."""

    def __bool__(self) -> bool:
        return True  # Ray would replace an empty list by its own

    def extend(self, places: Iterable[str]) -> None:
        """Leave the list as it is."""


def _launch_guard(home: Path) -> subprocess.Popen[bytes]:
    """Start what ends everything that names the folder once this process is gone."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the driver
    )


def _tell(launched: subprocess.Popen[bytes], processes: set[psutil.Process]) -> None:
    """Name processes to the guard, since some rename themselves."""
    names = [f"{process.pid}:{guard.start_ticks(process.pid)}" for process in processes]
    assert launched.stdin is not None
    launched.stdin.write("".join(f"{name}\n" for name in names).encode())
    launched.stdin.flush()
