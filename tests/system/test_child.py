from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from search.errors import ProjectError, SpecError, WorkerError
from search.system.child import ChildProcess, run_in_child
from search.system.patience import Patience

HELPERS = """
import os, signal, sys, time
from search.errors import ScenarioError, SpecError


def add(a, b, *, report):
    print("noise on stdout")
    report("adding")
    report("done")
    return a + b, os.getpid(), os.getsid(0)


def refuse(*, report):
    raise SpecError("must be even", file="study.yml", key="parameters.x", line=3)


def die(how, *, report):
    sys.stderr.write("something about memory")
    sys.stderr.flush()
    os.kill(os.getpid(), how)


def leave(*, report):
    sys.stderr.write("ImportError: no such name\\nnanobind: leaked 2 types!\\n - leaked type x\\n")
    sys.stderr.flush()
    os._exit(1)


def crash(*, report):
    raise ValueError("a bug")


def look(*, report):
    import random, yaml
    return random.__file__, yaml.__file__, sys.path


def greet(*, report):
    return os.environ["GREETING"]


def place():
    return "model.shop.fct_pay", 1


def overdue(at, seconds):
    return SpecError(f"{at} took longer than {seconds:g} s", file="study.yml")


def loop(*, report):
    while True:
        pass


def get_on(*, report):
    for number in range(12):
        report(str(number))
        time.sleep(0.25)
    return "done"


def hang(file, *, report):
    with open(file, "w") as stream:
        stream.write(str(os.getpid()))
    try:
        report("hanging")
        time.sleep(600)
    finally:
        with open(file + "-cleaned", "w"):
            pass
"""


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    (tmp_path / "child_helpers.py").write_text(HELPERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("child_helpers", None)
    import child_helpers

    return child_helpers


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def silent(line: str) -> None:
    """Take progress and do nothing with it."""


def test_a_child_answers_and_reports(helpers: object, capfd: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    total, pid, session = run_in_child(helpers.add, 2, 3, report=lines.append)  # type: ignore[attr-defined]
    assert total == 5 and lines == ["adding", "done"]
    assert pid != os.getpid() and session == pid
    assert not psutil.pid_exists(pid)
    assert capfd.readouterr().out == ""


def test_one_child_answers_call_after_call(helpers: object) -> None:
    with ChildProcess() as child:
        first, pid, _ = child.call(helpers.add, 2, 3, report=silent)  # type: ignore[attr-defined]
        with pytest.raises(SpecError):
            child.call(helpers.refuse, report=silent)  # type: ignore[attr-defined]
        second, again, _ = child.call(helpers.add, 4, 5, report=silent)  # type: ignore[attr-defined]
        assert (first, second) == (5, 9) and pid == again
    assert not psutil.pid_exists(pid)


@pytest.mark.fault
def test_a_child_that_died_between_calls_is_told(helpers: object) -> None:
    with ChildProcess() as child:
        _, pid, _ = child.call(helpers.add, 2, 3, report=silent)  # type: ignore[attr-defined]
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match="killed by SIGKILL"):
            child.call(helpers.add, 2, 3, report=silent)  # type: ignore[attr-defined]


def test_errors_cross_with_all_their_fields(helpers: object) -> None:
    with pytest.raises(SpecError) as caught:
        run_in_child(helpers.refuse, report=silent)  # type: ignore[attr-defined]
    assert str(caught.value) == "study.yml:3: parameters.x: must be even"


@pytest.mark.fault
def test_a_killed_child_is_told_with_its_last_words(helpers: object) -> None:
    with pytest.raises(WorkerError, match="something about memory.*killed by SIGKILL"):
        run_in_child(helpers.die, signal.SIGKILL, report=silent)  # type: ignore[attr-defined]


def test_what_bindings_say_of_themselves_is_no_last_word(helpers: Any) -> None:
    with pytest.raises(WorkerError, match="ImportError: no such name") as told:
        run_in_child(helpers.leave, report=silent)
    assert "leaked" not in str(told.value)


@pytest.mark.fault
def test_a_crash_is_told_with_its_place_and_is_no_want_of_memory(helpers: Any) -> None:
    patience = Patience(None, helpers.place, helpers.overdue)
    with pytest.raises(WorkerError, match="it crashed: SIGABRT; that is a fault of DuckDB") as told:
        run_in_child(helpers.die, signal.SIGABRT, report=silent, patience=patience)
    assert "census" not in str(told.value)


def test_a_child_that_does_not_get_on_is_ended_and_told(helpers: Any) -> None:
    patience = Patience(2.0, helpers.place, helpers.overdue)
    with pytest.raises(SpecError, match="study.yml: model.shop.fct_pay took longer than 2 s"):
        run_in_child(helpers.loop, report=silent, patience=patience, stop_seconds=0.5)


def test_a_child_that_gets_on_has_time(helpers: Any) -> None:
    patience = Patience(1.5, helpers.place, helpers.overdue)
    assert run_in_child(helpers.get_on, report=silent, patience=patience) == "done"


def test_a_bug_in_a_child_is_told(helpers: object) -> None:
    with pytest.raises(WorkerError, match="unexpected ValueError in child.*: a bug .*TRACEBACK=1"):
        run_in_child(helpers.crash, report=silent)  # type: ignore[attr-defined]
    environment = {"SCENARIO_SEARCH_TRACEBACK": "1"}
    with pytest.raises(WorkerError, match="(?s)ended with code 1 .*in crash.*ValueError: a bug"):
        run_in_child(helpers.crash, report=silent, env=environment)  # type: ignore[attr-defined]


def test_environment_is_handed_on(helpers: object) -> None:
    environment = {"GREETING": "hello"}
    assert run_in_child(helpers.greet, report=silent, env=environment) == "hello"  # type: ignore[attr-defined]


def test_a_report_that_raises_ends_the_child(helpers: object, tmp_path: Path) -> None:
    def refuse(line: str) -> None:
        raise ProjectError("enough")

    with pytest.raises(ProjectError, match="enough"):
        run_in_child(helpers.hang, str(tmp_path / "pid"), report=refuse)  # type: ignore[attr-defined]
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
    assert (tmp_path / "pid-cleaned").exists()


@pytest.mark.fault
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_child_ends_with_its_parent(helpers: object, tmp_path: Path, how: signal.Signals) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import child_helpers;"
        " from search.system.child import run_in_child;"
        " run_in_child(child_helpers.hang, sys.argv[1] + '/pid', report=print)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    file = tmp_path / "pid"
    until(lambda: file.exists() and file.read_text())
    child = psutil.Process(int(file.read_text()))
    parent.send_signal(how)
    parent.wait(30)
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def shadow(folder: Path) -> None:
    """Put files of a user's into a folder that have the names of modules."""
    for name in ("random", "yaml", "typing", "search", "json"):
        (folder / f"{name}.py").write_text(f"open('executed-{name}', 'w').close()\n")


def test_files_of_the_working_folder_are_no_modules(
    helpers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    shadow(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", ["", str(folder), *sys.path])
    random_file, yaml_file, path = run_in_child(helpers.look, report=lambda line: None)
    assert {Path(random_file).parent, Path(yaml_file).parent} & {folder} == set()
    assert {"", str(folder)} & set(path) == set()
    assert list(folder.glob("executed-*")) == []


def test_the_command_line_executes_no_file_of_the_working_folder(tmp_path: Path) -> None:
    shadow(tmp_path)
    (tmp_path / "search.py").unlink()  # `python -m search` would be that file, before ours
    command = Path(sys.executable).with_name("scenario-search")
    for start in ([sys.executable, "-m", "search"], [str(command)]):
        done = subprocess.run(
            [*start, "doctor", "--help"], cwd=tmp_path, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.glob("executed-*")) == []
