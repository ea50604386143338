"""Studies as jobs of a real cluster: sent, stopped, taken up again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from ray_cluster import Cluster, running_cluster
from studies import copy_project, search_command, stored_trials, tiny_document, write_study

from search.audit.reader import AuditReader

pytestmark = [pytest.mark.ray, pytest.mark.dbt, pytest.mark.timeout(900)]

PATIENCE_SECONDS = 120.0
SLOW = [
    {
        "sql": "create or replace table result as select {{ var('x') }} * 10"
        " + (select value from levers) + coalesce(sleep_ms(2000)::int, 0) as v"
    }
]
"""A step of two seconds, which leaves the processor to the programs that are waited for."""
TWO_WORKERS = {"workers": 2, "memory_budget": "3GB"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as started:
        yield started


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A project folder as a user has it, with things in it that must not travel."""
    folder = copy_project("tiny", tmp_path / "project")
    write_study(folder, tiny_document(resources=TWO_WORKERS), name="tiny.yml")
    never = {"v": {"value": 1000.0}}
    slow = tiny_document(
        study="slow", scenario={"steps": SLOW}, targets=never, resources=TWO_WORKERS
    )
    write_study(folder, slow, name="slow.yml")
    (folder / "results").mkdir()
    (folder / "results" / "study.db").write_bytes(b"SQLite format 3\x00")
    (folder / ".rayignore").write_text("results\n")
    return folder


def ray(cluster: Cluster, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.prefix, "bin", "ray"), "job", *map(str, words)],
        cwd=folder, env=cluster.environment(), capture_output=True, text=True, timeout=180,
    )  # fmt: skip


def submit(cluster: Cluster, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        search_command("submit", *words),
        cwd=folder, env=cluster.environment(), capture_output=True, text=True, timeout=180,
    )  # fmt: skip


def test_a_job_spreads_over_the_cluster_and_leaves_its_results(
    cluster: Cluster, study: Path, tmp_path: Path
) -> None:
    results = tmp_path / "kept"
    command = ("python", "-m", "search", "run", "tiny.yml", "--results", results, "--json")
    done = ray(cluster, study, "submit", "--working-dir", ".", "--", *command)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "succeeded" in said and "iteration 1: trial 1 done" in said and "\x1b[2K" not in said
    summary = json.loads(
        done.stdout[done.stdout.index('{\n  "study"') : done.stdout.rindex("}\n") + 2]
    )
    assert summary["converged"] is True and summary["workers"] == 2
    assert (results / "tiny" / "report.html").exists()
    trials = AuditReader(results / "tiny").trials()
    assert len({trial.worker for trial in trials if trial.iteration > 0}) == 2
    assert not cluster.processes("WorkerProcess")
    assert not list(cluster.temp.glob("scenario-search-*"))


@pytest.mark.fault
def test_a_stopped_job_is_saved_and_taken_up(cluster: Cluster, study: Path, tmp_path: Path) -> None:
    results = tmp_path / "kept"
    words = ("slow.yml", "--results", results, "--set", "search.max_iterations=1")
    # Enough trials that Ray's command, which takes seconds to start, comes before the last.
    words = (*words, "--set", "search.batch_size=12")
    sent = submit(cluster, study, *words, "--submission-id", "stopped", "--no-wait")
    assert sent.returncode == 0 and sent.stdout == "stopped\n", sent.stderr
    deadline = time.monotonic() + PATIENCE_SECONDS
    log = cluster.home / "ray" / "session_latest" / "logs" / "job-driver-stopped.log"
    while not log.exists() or "iteration 1: trial 1 done" not in log.read_text():
        assert time.monotonic() < deadline, log.exists() and log.read_text()
        time.sleep(0.1)
    family = cluster.processes("search", "run") + cluster.processes("WorkerProcess")
    assert family
    stopped = ray(cluster, study, "stop", "stopped")
    assert "was stopped" in stopped.stdout + stopped.stderr
    assert "iteration 1: trial 1 done" in ray(cluster, study, "logs", "stopped").stdout
    assert not psutil.wait_procs(family, timeout=10)[1]
    supervisor = (
        cluster.home / "ray" / "session_latest" / "logs" / "jobs" / "supervisor-stopped.log"
    )
    assert "terminated gracefully with SIGTERM" in supervisor.read_text()
    assert not cluster.processes("WorkerProcess")
    assert not list(cluster.temp.glob("scenario-search-*"))
    before = {t.number: t for t in stored_trials(results, "slow") if t.state.name == "COMPLETE"}
    assert set(before) >= {0, 1}
    assert not [t for t in stored_trials(results, "slow") if t.state.name == "RUNNING"]

    finished = submit(cluster, study, *words)
    assert finished.returncode == 3, finished.stdout + finished.stderr
    assert "going on with study slow" in finished.stdout
    after = {t.number: t for t in stored_trials(results, "slow")}
    assert all(after[number] == trial for number, trial in before.items())
    complete = [t for t in after.values() if t.state.name == "COMPLETE"]
    assert len(complete) == len({json.dumps(t.params) for t in complete}) == 13
    # Saved within Ray's 3 seconds; published as well where the machine was quick enough.
    stopped_run, finished_run = AuditReader(results / "slow").runs()
    assert (stopped_run.state, finished_run.state) == ("interrupted", "finished")
    assert not list(cluster.temp.glob("scenario-search-*"))


def test_mistakes_are_told_with_their_exit_code(
    cluster: Cluster, study: Path, tmp_path: Path
) -> None:
    inside = ray(
        cluster, study, "submit", "--submission-id", "twice", "--working-dir", ".", "--",
        "python", "-m", "search", "run", "tiny.yml", "--results", "kept",
    )  # fmt: skip
    assert inside.returncode == 1
    assert "failed with exit code 2" in inside.stdout + inside.stderr
    assert "must be kept outside of its working directory" in inside.stdout
    results = tmp_path / "kept"
    wrong = submit(cluster, study, "tiny.yml", "--results", results, "--submission-id", "twice")
    assert wrong.returncode == 2 and "must take the job" in wrong.stderr
    stranger = subprocess.run(
        search_command("submit", "tiny.yml", "--results", results),
        cwd=study, env=cluster.environment() | {"RAY_AUTH_TOKEN": "0" * 64},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert stranger.returncode == 2 and "RAY_AUTH_TOKEN" in stranger.stderr
    assert "Traceback" not in wrong.stderr + stranger.stderr
    assert not results.exists()


def test_nothing_answers(study: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        search_command("submit", "tiny.yml", "--results", tmp_path, "--address", "http://127.0.0.1:1"),
        cwd=study, env=os.environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "must answer at http://127.0.0.1:1" in done.stderr and "Traceback" not in done.stderr
