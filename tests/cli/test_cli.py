"""The command line as a person or a program uses it: real processes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from studies import (
    changed,
    copy_project,
    run_search,
    search_command,
    stored_trials,
    tiny_document,
    write_study,
)

from search.audit.reader import AuditReader
from search.cli.leaving import exit_code
from search.cli.main import main
from search.study import json_schema

NEVER = {"v": {"value": 1000.0}}
SLOW = [
    {
        "sql": "create or replace table result as select {{ var('x') }} * 10"
        " + (select value from levers) + (select 0 * sum(hash(range) % 7) from range(50000000))"
        " as v"
    }
]
"""A step of about half a second."""
ONE_BATCH = ("--set", "search.max_iterations=1", "--set", "search.batch_size=6")

KEYS = {
    "study", "converged", "iterations", "trials", "failed_trials", "best", "engine", "isolation",
    "workers", "verified", "wall_seconds", "startup_seconds", "evaluations_per_second",
    "peak_memory_bytes", "audit_path", "reason",
}  # fmt: skip


# --- without dbt ------------------------------------------------------------------


def call(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = exit_code(
        lambda: main([str(word) for word in words], standalone_mode=False),
        is_json="--json" in words,
    )
    said = capfd.readouterr()
    return code, said.out, said.err


def test_schema_is_json_on_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capfd, "schema")
    assert (code, err) == (0, "")
    assert json.loads(out) == json_schema()


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["evaluate", "-h"]])
def test_help(capfd: pytest.CaptureFixture[str], words: list[str]) -> None:
    code, out, _ = call(capfd, *words)
    assert code == 0 and out.startswith("Usage:")


@pytest.mark.parametrize("words", [["dance"], ["run"], ["run", "--workers", "many", "x.yml"]])
def test_words_that_are_no_command(capfd: pytest.CaptureFixture[str], words: list[str]) -> None:
    code, out, err = call(capfd, *words)
    assert code == 2 and out == "" and "Usage:" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["status", "no such file.yml"], "study_file"),
        (["evaluate", "{study}", "--from-trial", "7"], "results_missing"),
        (["audit", "verify", "{study}"], "results_missing"),
        (["run", "--workers", "many", "x.yml"], "usage"),
    ],
)
def test_a_failure_is_json_as_well_when_asked_for(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], code: str
) -> None:
    study = write_study(tmp_path, tiny_document())
    shown = [word.format(study=study) for word in words]
    number, out, err = call(capfd, *shown, "--json", "--results", tmp_path / "results")
    said = json.loads(out)
    assert (number, said["code"], said["exit_code"]) == (2, code, 2)
    assert said["message" if code != "usage" else "failure"] in " ".join(err.split())


def test_a_bug_is_one_line_unless_asked_for(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash() -> int:
        raise ZeroDivisionError("by zero")

    monkeypatch.delenv("SCENARIO_SEARCH_TRACEBACK", raising=False)
    assert exit_code(crash) == 1
    said = capfd.readouterr()
    assert (
        said.out == ""
        and "unexpected ZeroDivisionError in " in said.err
        and ": by zero" in said.err
    )
    monkeypatch.setenv("SCENARIO_SEARCH_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        exit_code(crash)


def test_what_libraries_print_meanwhile_does_not_reach_stdout(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def noisy(*_: Any, **__: Any) -> None:
        os.write(1, b"noise of a native library\n")
        subprocess.run(["echo", "noise of a child"], check=True)
        raise KeyboardInterrupt

    monkeypatch.setattr("search.commands.run.run_study", noisy)
    code, out, err = call(capfd, "run", write_study(tmp_path, tiny_document()))
    assert (code, out) == (130, "")
    assert "native library" in err and "of a child" in err and "the state is saved" in err


# --- whole runs -------------------------------------------------------------------


class Study:
    """A study of the tiny project, run by processes of its own with their own temp folder.

    Its results are its own as well, but for what is prepared, when that is given.
    """

    def __init__(self, file: Path, prepared: Path | None = None) -> None:
        self.file = file
        self.home = file.parent.parent
        self.results = self.home / "results"
        if prepared is not None:
            self.results.mkdir()
            (self.results / "baselines").symlink_to(prepared)
        self.temp = self.home / "temp"
        self.temp.mkdir()
        self.name = file.stem

    def words(self, command: str, *more: object) -> list[object]:
        return [command, self.file, "--results", self.results, *more]

    def call(
        self, command: str, *more: object, timeout: float = 240
    ) -> subprocess.CompletedProcess[str]:
        words = self.words(command, *more)
        env = {"TMPDIR": str(self.temp)}
        return run_search(*words, cwd=self.home, env=env, timeout=timeout)

    def start(self, *more: object) -> Running:
        return Running(search_command(*self.words("run", *more)), self)

    def trials(self) -> dict[int, Any]:
        return {one.number: one for one in stored_trials(self.results, self.name)}

    def left(self) -> list[str]:
        """Whatever a run left that is no result."""
        temp = [str(path) for path in self.temp.iterdir()]
        folder = self.results / self.name
        return temp + [str(path) for path in folder.glob("*.lock")]


class Running:
    """A run in the background whose lines can be waited for."""

    def __init__(self, command: list[str], study: Study) -> None:
        self.process = subprocess.Popen(
            command, cwd=study.home, env=os.environ | {"TMPDIR": str(study.temp)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()

    def wait_for(self, text: str, seconds: float = 240) -> None:
        with self._news:
            seen = self._news.wait_for(lambda: any(text in line for line in self.lines), seconds)
        assert seen, "\n".join(self.lines)

    def end(self, how: signal.Signals) -> tuple[int, str]:
        """Send a signal, wait for the end, and return the exit code and stdout."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(how)
        assert self.process.stdout is not None
        out = self.process.stdout.read()
        code = self.process.wait(120)
        self._reader.join(30)
        _, alive = psutil.wait_procs(family, timeout=30)
        assert alive == []
        return code, out


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The project, and a folder for what the first run prepares of it: dbt's answers, baselines."""
    folder = tmp_path_factory.mktemp("ready")
    (folder / "baselines").mkdir()
    return copy_project("tiny", folder / "project"), folder / "baselines"


@pytest.fixture
def study(ready: tuple[Path, Path], tmp_path: Path) -> Iterator[Callable[..., Study]]:
    """Makes a study for which dbt need not be asked again."""
    project, prepared = ready
    made: list[Study] = []

    def make(**changes: Any) -> Study:
        document = changed(tiny_document(**changes), {"scenario": {"dbt_project": str(project)}})
        made.append(Study(write_study(tmp_path / "study", document, name="tiny.yml"), prepared))
        return made[-1]

    yield make
    for one in made:
        assert one.left() == []


Make = Callable[..., Study]


@pytest.mark.dbt
def test_run_json_then_evaluate(study: Make) -> None:
    one = study()
    finished = one.call("run", "--json", "--workers", 0, "--set", "search.max_iterations=20")
    assert finished.returncode == 0, finished.stderr
    summary = json.loads(finished.stdout)
    assert summary.keys() >= KEYS
    assert summary["converged"] is True and summary["study"] == "tiny"
    assert summary["best"].keys() >= {"parameters", "metrics", "variances"}
    values = summary["best"]["parameters"]
    assert summary["best"]["metrics"] == {"v": 10 * values["x"] + values["rate"]}
    assert (summary["engine"], summary["isolation"]) == ("dbt", "copy")
    assert summary["workers"] == 0 and summary["failed_trials"] == 0
    assert 0 < summary["startup_seconds"] < summary["wall_seconds"]
    assert summary["evaluations_per_second"] > 0 and summary["peak_memory_bytes"] > 2**24
    assert len(AuditReader(Path(summary["audit_path"]).parent).trials()) == summary["trials"]
    assert "\x1b" not in finished.stderr and "\r" not in finished.stderr
    assert "iteration 1: trial 1 done in" in finished.stderr

    again = one.call("evaluate", "--json", "--from-trial", summary["best"]["trial"])
    assert again.returncode == 0, again.stderr
    repeated = json.loads(again.stdout)
    assert repeated["matches_trial"] is True
    assert repeated["metrics"] == summary["best"]["metrics"]


@pytest.mark.dbt
def test_targets_that_are_not_met_are_exit_code_3_and_a_table(study: Make) -> None:
    one = study(targets=NEVER)
    limits = ("--set", "search.max_iterations=1", "--set", "search.batch_size=2")
    finished = one.call("run", "--workers", 0, *limits)
    assert finished.returncode == 3, finished.stderr
    assert "tiny: targets not met - max_iterations (1) reached" in finished.stdout
    assert "missed" in finished.stdout and "3 trials in 1 iteration," in finished.stdout


@pytest.mark.dbt
@pytest.mark.fault
def test_ctrl_c_saves_the_state_and_the_same_command_goes_on(study: Make) -> None:
    one = study(scenario={"steps": SLOW}, targets=NEVER)
    words = ("--workers", 0, *ONE_BATCH, "--json")
    running = one.start(*words)
    running.wait_for("trial 2 done")
    code, out = running.end(signal.SIGINT)
    said = json.loads(out)
    assert (code, said["code"], said["exit_code"]) == (130, "interrupted", 130), running.lines
    assert "interrupted; the state is saved, the same command goes on" in running.lines[-1]
    told = "\n".join(running.lines)
    assert "Traceback" not in told, told
    assert one.left() == []
    before = {n: t for n, t in one.trials().items() if t.state.name == "COMPLETE"}
    assert set(before) >= {0, 1, 2}
    (run,) = AuditReader(one.results / "tiny").runs()
    assert run.state == "interrupted"

    finished = one.call("run", *words)
    assert finished.returncode == 3, finished.stderr
    summary = json.loads(finished.stdout)
    after = one.trials()
    assert all(after[number] == trial for number, trial in before.items())
    complete = [t for t in after.values() if t.state.name == "COMPLETE"]
    assert summary["trials"] == len(complete) == 7
    assert len({json.dumps(t.params) for t in complete}) == 7
    assert not any(f"trial {number} done" in finished.stderr for number in before)


@pytest.mark.dbt
@pytest.mark.ray
@pytest.mark.fault
def test_a_closed_terminal_saves_the_state(study: Make) -> None:
    one = study(scenario={"steps": SLOW}, targets=NEVER)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        search_command(*one.words("run", "--workers", 1, *ONE_BATCH)),
        cwd=one.home, env=os.environ | {"TMPDIR": str(one.temp), "TERM": "xterm"},
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    seen = ""
    try:
        while "trial 1 done" not in seen:
            seen += os.read(ours, 65536).decode(errors="replace")
        family = psutil.Process(process.pid).children(recursive=True)
        os.close(ours)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
    states = {trial.state.name for trial in one.trials().values()}
    assert "COMPLETE" in states and "RUNNING" not in states
    (run,) = AuditReader(one.results / "tiny").runs()
    assert run.state == "interrupted"


@pytest.mark.dbt
@pytest.mark.ray
@pytest.mark.fault
def test_a_killed_driver_is_followed_by_one_that_takes_up_its_trials(study: Make) -> None:
    one = study(scenario={"steps": SLOW}, targets=NEVER)
    words = ("--workers", 1, *ONE_BATCH, "--json")
    running = one.start(*words)
    running.wait_for("trial 2 done")
    code, out = running.end(signal.SIGKILL)
    assert code == -signal.SIGKILL and out == ""
    before = {n: t for n, t in one.trials().items() if t.state.name == "COMPLETE"}
    assert set(before) >= {0, 1, 2}
    waiting = [t for t in one.trials().values() if t.state.name == "RUNNING"]
    assert waiting

    finished = one.call("run", *words)
    assert finished.returncode == 3, finished.stderr
    summary = json.loads(finished.stdout)
    assert summary["workers"] == 1
    assert f"taking up {len(waiting)} unfinished trials" in finished.stderr
    after = one.trials()
    assert all(after[number] == trial for number, trial in before.items())
    complete = [t for t in after.values() if t.state.name == "COMPLETE"]
    assert summary["trials"] == len(complete) == 7
    assert len({json.dumps(t.params) for t in complete}) == 7
    taken_up = {json.dumps(t.params) for t in waiting}
    assert taken_up <= {json.dumps(t.params) for t in complete}
    assert not [t for t in after.values() if t.state.name == "RUNNING"]


@pytest.mark.dbt
@pytest.mark.fault
def test_ctrl_c_while_dbt_prepares(tiny: Callable[..., Path]) -> None:
    one = Study(tiny(targets=NEVER))
    running = one.start("--workers", 0)
    running.wait_for("parsing the dbt project")
    began = time.monotonic()
    code, out = running.end(signal.SIGINT)
    assert code == 130 and out == "" and time.monotonic() - began < 60
    assert not any("Traceback" in line for line in running.lines), running.lines
    assert not (one.results / "tiny").exists()
    assert one.left() == []


@pytest.mark.dbt
@pytest.mark.ray
def test_one_worker_and_none_give_the_same_trials(study: Make) -> None:
    one = study(targets=NEVER, study="tiny")
    limits = ("--set", "search.max_iterations=1", "--json")
    told = []
    for workers in (0, 1):
        results = one.home / f"results-{workers}"
        shutil.copytree(one.results, results, symlinks=True)  # what is prepared, and nothing else
        words = ("run", one.file, "--results", results, "--workers", workers, *limits)
        finished = run_search(*words, cwd=one.home, env={"TMPDIR": str(one.temp)})
        assert finished.returncode == 3, finished.stderr
        assert json.loads(finished.stdout)["workers"] == workers
        told.append([(t.number, t.params, t.values) for t in stored_trials(results, "tiny")])
    assert told[0] == told[1] and len(told[0]) == 5


@pytest.mark.dbt
def test_a_var_of_the_command_line(study: Make) -> None:
    step = {
        "sql": "create or replace table result as"
        " select {{ var('x') }} + {{ var('extra') }} + (select value from levers) as v"
    }
    one = study(scenario={"steps": [step], "vars": {"extra": 1}})
    finished = one.call("evaluate", "--json", "--var", "extra=40", "--set", "x=2.5")
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["metrics"] == {"v": 43.5}
