"""Ctrl-C and SIGTERM at any moment of a run in one process: it ends within seconds, state saved.

``make test-faults`` (FAULTS=all) stops 200 runs, ``make test`` a few.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from studies import copy_project, stored_trials, tiny_document, write_study

from search.audit.events import read_events
from search.audit.integrity import verify_trail
from search.storage.existing import existing_storage

pytestmark = pytest.mark.fault

IS_ALL = os.environ.get("FAULTS") == "all"
STOPS = int(os.environ.get("STOPS", 200 if IS_ALL else 3))
ENDS_WITHIN_SECONDS = 5.0
INTERRUPTED = 130

# Forks a run for each line that it reads, since starting Python and importing takes seconds.
NURSERY = """
import os, sys, time
import search.cli.main as cli
import search.commands.run, search.report.html, search.scenario.evaluator  # what a run imports

whole = os.fsync

def slow(descriptor):
    whole(descriptor)
    time.sleep(0.05)

for line in sys.stdin:
    kind, *words = line.split()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if kind == "slow":
            os.fsync = slow
        sys.argv = ["scenario-search", *words]
        code = 1
        try:
            cli.entry_point()
        except SystemExit as error:
            code = int(error.code or 0)
        finally:
            os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass
class Nursery:
    """Starts runs and says how they ended."""

    process: subprocess.Popen[str]

    def start(self, *words: object, kind: str = "plain") -> int:
        """Start a run; return its process id."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(" ".join([kind, *map(str, words)]) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> int:
        """Wait for the run to end; return its exit code."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def stopped(self, pid: int, number: signal.Signals) -> tuple[int, float]:
        """Send a signal; return the exit code and the seconds until the end."""
        began = time.monotonic()
        with contextlib.suppress(ProcessLookupError):  # it had come to its end
            os.kill(pid, number)
        code = self.end()
        return code, time.monotonic() - began


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """A process that has imported everything."""
    log = (tmp_path_factory.mktemp("said") / "stderr").open("w")
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=log, text=True,
    ) as process:  # fmt: skip
        yield Nursery(process)
        assert process.stdin is not None
        process.stdin.close()
    text = Path(log.name).read_text()
    log.close()
    assert "Traceback" not in text and "unexpected" not in text, text[-3000:]


def wait_until(condition: object, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has_begun(results: Path, trial: int) -> bool:
    """Whether a trial is being evaluated."""
    return any((results / "tiny" / "spool").glob(f"{trial}-*.began"))


def faults_of(results: Path) -> list[str]:
    folder = results / "tiny"
    with existing_storage(f"sqlite:///{folder / 'study.db'}") as storage:
        found = verify_trail(folder, storage, "tiny").findings
    return [f"{one.place}: {one.text}" for one in found]


ENDLESS = {
    "query": "create or replace table result as select {{ var('x') }} * 10 as v, {{ loop }} as loop"
    " {% if var('x') != 1.0 %}, (select count(*) from range(10000000) a, range(10000000) b"
    " where a.range * b.range % 7 = 3) as n {% endif %}",
    "template": "{% if var('x') != 1.0 %}{% for a in range(90000) %}{% for b in range(90000) %}"
    "{% endfor %}{% endfor %}{% endif %}"
    "create or replace table result as select {{ var('x') }} * 10 as v, {{ loop }} as loop",
}


def endless_run(nursery: Nursery, tmp_path: Path, what: str) -> tuple[int, Path]:
    """Start a run whose second trial never ends; return its process and results at that point."""
    project = copy_project("tiny", tmp_path / "project")
    document = tiny_document(search={"max_iterations": 2})
    document["scenario"]["steps"][0]["sql"] = ENDLESS[what]
    del document["parameters"]["rate"]
    file = write_study(project, document)
    results = tmp_path / "results"
    pid = nursery.start("run", file, "--results", results)
    wait_until(lambda: has_begun(results, 1))
    return pid, results


KINDS = [("query", signal.SIGINT), ("template", signal.SIGTERM)]
if IS_ALL:
    KINDS += [("query", signal.SIGTERM), ("template", signal.SIGINT), ("query", signal.SIGHUP)]


@pytest.mark.parametrize(("what", "number"), KINDS)
def test_an_evaluation_without_end_is_stopped_and_no_trial_fails(
    nursery: Nursery, tmp_path: Path, what: str, number: signal.Signals
) -> None:
    pid, results = endless_run(nursery, tmp_path, what)
    time.sleep(0.3)
    code, seconds = nursery.stopped(pid, number)
    assert code == INTERRUPTED and seconds < ENDS_WITHIN_SECONDS
    states = [trial.state.name for trial in stored_trials(results, "tiny")]
    assert states == ["COMPLETE", *["WAITING"] * 8]
    assert [event.kind for event in read_events(results / "tiny")].count("run_interrupted") == 1
    assert faults_of(results) == []


def test_a_second_signal_ends_it_at_once(nursery: Nursery, tmp_path: Path) -> None:
    pid, results = endless_run(nursery, tmp_path, "query")
    # A storage that another program holds keeps the run from saving.
    with sqlite3.connect(results / "tiny" / "study.db", isolation_level=None) as connection:
        connection.execute("begin immediate")
        os.kill(pid, signal.SIGINT)
        time.sleep(1.5)
        code, seconds = nursery.stopped(pid, signal.SIGINT)
        connection.execute("rollback")
    connection.close()
    assert code == INTERRUPTED and seconds < 1.0
    assert "FAIL" not in [trial.state.name for trial in stored_trials(results, "tiny")]


def test_a_run_that_cannot_save_ends_all_the_same(nursery: Nursery, tmp_path: Path) -> None:
    pid, results = endless_run(nursery, tmp_path, "query")
    with sqlite3.connect(results / "tiny" / "study.db", isolation_level=None) as connection:
        connection.execute("begin immediate")
        code, seconds = nursery.stopped(pid, signal.SIGTERM)
        connection.execute("rollback")
    connection.close()
    assert code == INTERRUPTED and seconds < ENDS_WITHIN_SECONDS
    assert "FAIL" not in [trial.state.name for trial in stored_trials(results, "tiny")]


@pytest.mark.timeout(7200)
def test_runs_stopped_at_random_moments_go_on_as_if_nothing_had_happened(
    nursery: Nursery, tmp_path: Path
) -> None:
    chance = random.Random(20260101)
    project = copy_project("tiny", tmp_path / "project")
    searched = {"max_iterations": 6, "batch_size": 5, "early_stop": False}
    never = {"v": {"value": 1000.0, "tolerance": 0.0001}}
    file = write_study(project, tiny_document(search=searched, targets=never))
    results = tmp_path / "results"
    reference = tmp_path / "reference"
    began = time.monotonic()
    nursery.start("run", file, "--results", reference)
    assert nursery.end() == 3
    whole = time.monotonic() - began
    slowest, codes = 0.0, []
    for turn in range(STOPS):
        pid = nursery.start(
            "run", file, "--results", results, kind=chance.choice(["plain", "slow"])
        )
        time.sleep(chance.uniform(0.0, whole / 3))
        code, seconds = nursery.stopped(pid, chance.choice([signal.SIGINT, signal.SIGTERM]))
        codes.append(code)
        assert code in (INTERRUPTED, 3), f"run {turn} ended with {code}"
        slowest = max(slowest, seconds if code == INTERRUPTED else 0.0)
        if code == 3:  # all trials are done: start anew
            assert faults_of(results) == []
            assert story(results) == story(reference)
            (results / "tiny").rename(tmp_path / f"done-{turn}")
    nursery.start("run", file, "--results", results)
    assert nursery.end() == 3
    assert faults_of(results) == []
    assert story(results) == story(reference)
    assert slowest < ENDS_WITHIN_SECONDS
    assert codes.count(INTERRUPTED) > STOPS // 4


def story(results: Path) -> list[tuple[object, ...]]:
    """Return number, state, parameters and values of each trial."""
    return [
        (one.number, one.state.name, dict(one.params), one.values)
        for one in stored_trials(results, "tiny")
    ]
