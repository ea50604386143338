"""The form for other systems, forced: the same facts, and children that end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from studies import run_search, search_command

from search.commands.examples import unpack_example
from search.scenario.process import peak_memory_bytes
from search.system import memory, portable
from search.system.confinement import landlock_version, run_confined
from search.system.opened import run_noticed
from search.workers.ray import guard
from search.workers.watchdog import limit_data

FORCED = {portable.VARIABLE: "1"}


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Force the portable form in this process."""
    monkeypatch.setenv(portable.VARIABLE, "1")
    landlock_version.cache_clear()
    yield  # type: ignore[misc]
    landlock_version.cache_clear()


@pytest.mark.parametrize(("text", "expected"), [("", False), ("0", False), ("1", True)])
def test_it_is_asked_for_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: bool
) -> None:
    monkeypatch.setenv(portable.VARIABLE, text)
    assert portable.is_portable() == (expected or sys.platform != "linux")


def test_figures_are_those_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this process: what is its alone, and its resident size."""
    ballast = bytearray(64 * 2**20)
    exact, resident = memory.pss_bytes(os.getpid()), memory._resident_bytes(os.getpid())
    monkeypatch.setenv(portable.VARIABLE, "1")
    assert 64 * 2**20 < memory.pss_bytes(os.getpid()) <= exact * 1.1
    assert memory._resident_bytes(os.getpid()) == pytest.approx(resident, rel=0.1)
    assert peak_memory_bytes() >= 64 * 2**20
    assert memory.cores() == len(psutil.Process().cpu_affinity())
    assert memory._cgroup_folders("memory") == []
    assert len(ballast) > 0


def test_a_process_that_is_gone_takes_nothing(forced: None) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert memory.pss_bytes(done.pid) == 0 and memory._resident_bytes(done.pid) == 0


def test_what_only_linux_has_is_done_without(forced: None, tmp_path: Path) -> None:
    assert landlock_version() == 0
    place = tmp_path / "file"
    run_confined(lambda: place.write_text("x"), [])
    assert run_noticed(place.read_text) == ("x", None)
    limit_data(2**20)
    assert len(bytearray(8 * 2**20)) == 8 * 2**20


def test_the_guard_of_ray_finds_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mark = f"{tmp_path}/".encode()
    words = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, env=os.environ | {"HERE": mark}) as child:
        monkeypatch.setattr(guard, "IS_PORTABLE", True)
        assert guard.naming(mark) == [child.pid]
        assert guard.start_ticks(child.pid) > 0
        child.kill()
    assert guard.naming(mark) == [] and guard.start_ticks(child.pid) == 0


def test_a_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys, time\n"
        "inner = 'from search.system.child import die_with_parent; import time;'"
        " 'die_with_parent(); print(1, flush=True); time.sleep(60)'\n"
        "child = subprocess.Popen([sys.executable, '-c', inner], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ | FORCED
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    until = time.monotonic() + 20
    while psutil.pid_exists(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not psutil.pid_exists(child)


# --- a real run ----------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.dbt
def test_a_study_runs_on_two_workers(tmp_path: Path) -> None:
    """A whole run, within its memory budget as the watch saw it."""
    study = unpack_example("compensation", tmp_path / "compensation")
    words = ("run", study, "--workers", "2", "--set", "resources.memory_budget=4GB")
    done = run_search(*words, cwd=tmp_path, env=FORCED, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "peak memory" in done.stdout


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.dbt
@pytest.mark.parametrize("signalled", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_no_process_and_goes_on(
    tmp_path: Path, signalled: signal.Signals
) -> None:
    study = unpack_example("compensation", tmp_path / "compensation")
    words = search_command(
        "run", study, "--workers", "2", "--set", "resources.memory_budget=4GB",
        "--set", "targets.payroll.change=-0.2", "--set", "search.max_iterations=40",
    )  # fmt: skip
    environment = os.environ | FORCED | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if "trial 2 done" in line:
                break
        family = psutil.Process(run.pid).children(recursive=True)
        assert family
        run.send_signal(signalled)
        run.stderr.read()
        code = run.wait(timeout=60)
    assert code == (130 if signalled == signal.SIGINT else -signal.SIGKILL)
    gone, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
    again = run_search(*words[3:], cwd=tmp_path, env=FORCED, timeout=500)
    assert again.returncode in (0, 3), again.stderr
    assert "trial 0 done" not in again.stderr
