"""Drivers that die, and drivers that run side by side."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from search.errors import WorkerError
from search.workers.ray.guard import naming as processes_naming
from search.workers.ray.host import RayHost

pytestmark = [pytest.mark.ray, pytest.mark.fault]

SCRIPT = Path(__file__).with_name("driver_script.py")
DEADLINE_SECONDS = 20.0


@dataclass
class Driver:
    """A running driver whose two workers hang in an evaluation."""

    process: subprocess.Popen[str]
    status: dict[str, Any]
    descendants: list[psutil.Process]

    @property
    def folder(self) -> Path:
        return Path(self.status["folder"])

    def names(self) -> list[str]:
        return [" ".join(process.cmdline()) for process in self.descendants]


@pytest.fixture
def temp() -> Iterator[Path]:
    """A temp folder that no other test's start sweeps, with a path that sockets can have."""
    with tempfile.TemporaryDirectory(prefix="rf-", dir="/tmp") as folder:
        yield Path(folder)


def launch(folder: Path, temp: Path) -> subprocess.Popen[str]:
    folder.mkdir()
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder)],
        env=os.environ | {"TMPDIR": str(temp), "PYTHONPATH": str(SCRIPT.parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def when_ready(process: subprocess.Popen[str]) -> Driver:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"the driver ended early: {process.communicate()}"
    driver = Driver(process, json.loads(line), psutil.Process(process.pid).children(recursive=True))
    assert sum("ray::WorkerProcess" in name for name in driver.names()) == 2
    return driver


def still_alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, alive = psutil.wait_procs(processes, timeout=DEADLINE_SECONDS)
    return alive


@pytest.fixture
def drivers() -> Iterator[ExitStack]:
    """Ends whatever a failed test leaves, by the pids that it started."""
    with ExitStack() as stack:
        yield stack


def guard(stack: ExitStack, process: subprocess.Popen[str]) -> None:
    def end() -> None:
        process.kill()
        process.communicate()

    stack.callback(end)


def test_a_killed_driver_takes_ray_and_its_folder_with_it(
    drivers: ExitStack, tmp_path: Path, temp: Path
) -> None:
    guard(drivers, first := launch(tmp_path / "first", temp))
    killed = when_ready(first)
    first.kill()
    first.wait()
    assert not still_alive(killed.descendants)
    eventually(lambda: not killed.folder.parent.exists())

    guard(drivers, second := launch(tmp_path / "second", temp))
    next_one = when_ready(second)

    next_one.process.communicate()
    assert not still_alive(next_one.descendants)


@pytest.mark.parametrize("name", ["gcs_server", pytest.param("raylet", marks=pytest.mark.long)])
def test_a_server_of_ray_that_dies_ends_the_search_with_a_message(
    drivers: ExitStack, tmp_path: Path, temp: Path, name: str
) -> None:
    guard(drivers, process := launch(tmp_path / "study", temp))
    driver = when_ready(process)
    [server] = [
        one
        for one, words in zip(driver.descendants, driver.names(), strict=True)
        if Path(words.split(" ")[0]).name == name
    ]
    server.kill()
    _, complaint = process.communicate(timeout=DEADLINE_SECONDS)
    assert f"Ray's process {server.pid} must live" in complaint
    assert not still_alive(driver.descendants)
    assert not driver.folder.exists()


def test_two_drivers_at_the_same_time_do_not_see_each_other(
    drivers: ExitStack, tmp_path: Path, temp: Path
) -> None:
    processes = [launch(tmp_path / name, temp) for name in ("one", "two")]
    for process in processes:
        guard(drivers, process)
    one, two = (when_ready(process) for process in processes)
    assert one.status["nodes"] == two.status["nodes"] == 1
    assert one.status["address"] != two.status["address"]
    assert one.folder != two.folder

    one.process.communicate()  # closes stdin, so that it ends in order
    assert one.process.returncode == 0
    assert not still_alive(one.descendants)
    assert not one.folder.exists()
    assert two.folder.exists() and all(process.is_running() for process in two.descendants)

    two.process.send_signal(signal.SIGTERM)
    complaint = two.process.stderr.read() if two.process.stderr else ""
    assert two.process.wait(DEADLINE_SECONDS) == 128 + signal.SIGTERM, complaint
    assert not still_alive(two.descendants)
    assert not two.folder.exists()


def test_a_cluster_that_does_not_answer_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: nobody else takes the port
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{nobody.getsockname()[1]}")
        began = time.monotonic()
        host = RayHost(cpus=1)
        try:
            with pytest.raises(WorkerError, match=r"RAY_ADDRESS=127.*Connection refused"):
                host.wait()
        finally:
            host.stop()
    assert time.monotonic() - began < 15


STARTING = """
import select, sys
from search.workers.ray.guard import naming as processes_naming
from search.workers.ray.host import RayHost
host = RayHost(cpus=1)
host.start()
print("starting", flush=True)
host.wait()
print("up", flush=True)
while not select.select([sys.stdin], [], [], 0.1)[0]:
    host.check()
"""
IS_ALL = os.environ.get("FAULTS") == "all"
MOMENTS = [0.3 * n for n in range(1, 31)] if IS_ALL else [1.0, 2.5]
"""Seconds after which a driver is killed while Ray starts."""


def starting(temp: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", STARTING], env=os.environ | {"TMPDIR": str(temp)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "starting\n"
    return process


def naming(temp: Path) -> list[int]:
    return processes_naming(os.fsencode(temp / "scenario-search-"))


def eventually(
    condition: Callable[[], bool], seconds: float = DEADLINE_SECONDS, *, pause: float = 0.05
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(pause)


@pytest.mark.parametrize("seconds", MOMENTS)
def test_a_driver_killed_while_ray_starts_leaves_nothing(temp: Path, seconds: float) -> None:
    process = starting(temp)
    time.sleep(seconds)
    process.kill()
    process.communicate()
    eventually(lambda: naming(temp) == [] and list(temp.glob("scenario-search-*")) == [])


KILLED_AFTER = [0.0, 0.1, 0.3, 0.5, 1.0] if IS_ALL else [0.0, 0.5]
"""Seconds that a server lives before it is killed: none, and it was never seen alive."""
SERVERS = ["gcs_server", "raylet"] if IS_ALL else ["gcs_server"]


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("seconds_alive", KILLED_AFTER)
def test_a_server_that_dies_while_ray_starts_is_told_at_once(
    temp: Path, name: str, seconds_alive: float
) -> None:
    process = starting(temp)
    try:
        children: list[psutil.Process] = []

        def has_started() -> bool:
            found = psutil.Process(process.pid).children()
            children[:] = [one for one in found if name in one.name()]
            return bool(children)

        eventually(has_started, pause=0.005)
        time.sleep(seconds_alive)
        began = time.monotonic()
        children[0].kill()
        assert process.stdout is not None and process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if "WorkerError" in line:
                break
        seconds = time.monotonic() - began
        assert f"{children[0].pid} died while Ray was starting" in said or (
            f"Ray's process {children[0].pid} must live" in said
        )
        assert seconds < 5.0
    finally:
        process.kill()
        process.communicate()
    eventually(lambda: naming(temp) == [])


def test_nobody_else_enters_the_folder_of_ray(temp: Path) -> None:
    process = starting(temp)
    try:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        (home,) = temp.glob("scenario-search-*")
        assert home.stat().st_mode & 0o777 == 0o700
        assert list(home.glob("r/session_*"))
    finally:
        process.communicate(input="")
