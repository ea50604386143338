"""The dashboard of a real study: what it shows, and that nothing reaches the study."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from studies import (
    FormulaFactory,
    run_search,
    search_command,
    ten_x_and_rate,
    tiny_document,
    write_study,
)

from search.driver.loop import Driver
from search.driver.progress import SilentProgress
from search.errors import StorageError
from search.storage.attributes import RUNS, SPEC
from search.storage.database import open_storage
from search.storage.study_store import StudyStore
from search.study import load_study
from search.study.ranking import directions
from search.study.targets import goals_of
from search.workers import InlinePool


class NoTrail:
    """Takes events and keeps none: the dashboard reads the storage alone."""

    def event(self, kind: str, **fields: Any) -> None:
        """Take an event."""

    def event_batch(self, kind: str, found: Sequence[Mapping[str, Any]]) -> None:
        for fields in found:
            self.event(kind, **fields)

    def publish(self) -> None:
        """Publish nothing."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study file whose study was searched, with results beside it; x above 8 fails."""
    home = tmp_path_factory.mktemp("dashboard")
    document = tiny_document(
        metrics={"v": {"unit": "USD"}}, targets={"v": {"value": 1000.0}},
        parameters={"x": {"unit": "people", "current": 8.5}}, search={"max_iterations": 2},
    )  # fmt: skip
    file = write_study(home, document, name="tiny.yml")
    spec = load_study(file)
    storage = open_storage(f"sqlite:///{home / 'results' / 'tiny' / 'study.db'}")
    store = StudyStore.create_or_load(storage, "tiny", directions=directions(goals_of(spec)))
    store.set_attributes({SPEC: spec.to_document()})
    with InlinePool() as pool:
        pool.open(FormulaFactory(ten_x_and_rate))
        end = Driver(
            spec=spec, goals=goals_of(spec), store=store, pool=pool, batch_size=4,
            recorder=NoTrail(), progress=SilentProgress(), details={},
        ).run()  # fmt: skip
    assert end.best is not None and end.failed_trials >= 1
    store.set_attributes({RUNS: {"one": {"best_trial": end.best.number}}})
    storage.remove_session()
    storage.engine.dispose()
    return file


@contextlib.contextmanager
def dashboard(study: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command, and yield it with the address that it prints."""
    process = subprocess.Popen(
        search_command("dashboard", study, "--port", 0, *words),
        cwd=study.parent,
        env=os.environ | {"SCENARIO_SEARCH_RESULTS": str(study.parent / "results")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, process.communicate()
        yield process, next(word for word in line.split() if word.startswith("http"))
    finally:
        process.terminate()  # it tidies up
        process.communicate(timeout=60)


def get(page: str, path: str, method: str = "GET") -> tuple[int, Any]:
    root, number = page.split("/dashboard/studies/")
    request = urllib.request.Request(f"{root}/api/{path.format(study=number)}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def fingerprint(study: Path) -> str:
    file = study.parent / "results" / "tiny" / "study.db"
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_it_shows_the_study_and_changes_nothing(study: Path) -> None:
    before = fingerprint(study)
    with dashboard(study) as (process, page):
        status, shown = get(page, "studies/{study}")
        assert status == 200 and shown["name"] == "tiny"
        assert shown["objective_names"] == ["loss (0: all targets met)"]
        assert "target v [USD]" in {row["key"] for row in shown["user_attrs"]}
        assert "study: tiny" in shown["note"]["body"]
        trials = {trial["number"]: trial for trial in shown["trials"]}
        failed = [trial for trial in trials.values() if trial["state"] == "Fail"]
        complete = [trial for trial in trials.values() if trial["state"] == "Complete"]
        assert "x must be at most 8" in str(failed[0]["user_attrs"])
        assert all(
            len(trial["constraints"]) == 1 and trial["constraints"][0] > 0 for trial in complete
        )
        attributes = {row["key"]: row["value"] for row in complete[0]["user_attrs"]}
        assert attributes["all targets met"] == "False"
        assert {"v [USD]", "variance of v", "iteration", "worker", "seconds"} <= set(attributes)
        assert {param["name"] for param in complete[0]["params"]} == {"x [people]", "rate"}
        status, importances = get(page, "studies/{study}/param_importances")
        assert status == 200
        names = {one["name"] for one in importances["param_importances"][0]}
        assert names == {"x [people]", "rate"}
        for method in ("DELETE", "POST", "PUT"):
            status, answer = get(page, "studies/{study}", method)
            assert status == 403 and "nothing can be changed" in answer["reason"]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert fingerprint(study) == before
    assert sorted(one.name for one in (study.parent / "results" / "tiny").iterdir()) == ["study.db"]


@pytest.mark.parametrize(
    "headers", [{"Host": "rebound.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
def test_pages_of_others_are_not_answered(study: Path, headers: dict[str, str]) -> None:
    with dashboard(study, "--snapshot") as (_, page):
        address = page.split("/dashboard")[0] + "/api/studies"
        urllib.request.urlopen(address, timeout=30).close()
        request = urllib.request.Request(address, headers=headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        assert refused.value.code == 403


def test_a_live_study_is_followed_and_a_snapshot_is_not(study: Path, tmp_path: Path) -> None:
    file = study.parent / "results" / "tiny" / "study.db"
    home = tmp_path / "home"
    (home / "results" / "tiny").mkdir(parents=True)
    shutil.copy(study, home / "tiny.yml")
    copy = Path(shutil.copy(file, home / "results" / "tiny" / "study.db"))
    with dashboard(home / "tiny.yml") as (_, live), dashboard(home / "tiny.yml", "--snapshot") as (
        process, still,
    ):  # fmt: skip
        count = len(get(live, "studies/{study}")[1]["trials"])
        storage = open_storage(f"sqlite:///{copy}")
        with storage.transaction():  # a writer in the middle of its work keeps nobody waiting
            storage.create_new_trial(storage.get_study_id_from_name("tiny"))
            assert get(live, "studies/{study}")[0] == 200
        assert storage.get_n_trials(storage.get_study_id_from_name("tiny")) == count + 1
        storage.remove_session()
        storage.engine.dispose()
        with dashboard(home / "tiny.yml") as (_, again):
            assert len(get(again, "studies/{study}")[1]["trials"]) == count + 1
        copy.unlink()
        assert len(get(still, "studies/{study}")[1]["trials"]) == count
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_mistakes(study: Path, tmp_path: Path) -> None:
    results = study.parent / "results"
    nothing = run_search("dashboard", study, "--results", tmp_path / "empty", cwd=tmp_path)
    assert nothing.returncode == 2 and "must have run" in nothing.stderr
    assert not (tmp_path / "empty").exists()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        busy = run_search("dashboard", study, "--results", results, "--port", port, cwd=tmp_path)
    assert busy.returncode == 2 and f"{port} on 127.0.0.1 is taken" in busy.stderr
    assert "Traceback" not in nothing.stderr + busy.stderr
    (tmp_path / "broken" / "tiny").mkdir(parents=True)
    (tmp_path / "broken" / "tiny" / "study.db").write_bytes(b"not a database" * 100)
    broken = run_search("dashboard", study, "--results", tmp_path / "broken", cwd=tmp_path)
    assert broken.returncode == 2 and "not a SQLite database" in broken.stderr


def test_a_study_that_another_program_deletes_is_told(study: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(study.parent / "results" / "tiny" / "study.db", tmp_path / "study.db"))
    storage = open_storage(f"sqlite:///{copy}")
    store = StudyStore.load(storage, "tiny")
    with contextlib.closing(sqlite3.connect(copy)) as other, other:
        other.execute("delete from studies")
    with pytest.raises(StorageError, match="deleted by another program"):
        store.set_attributes({"a": 1})


@pytest.mark.browser
def test_the_page_in_a_browser(study: Path, chromium: str, tmp_path: Path) -> None:
    with dashboard(study) as (_, page):
        shown = subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
            + [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000"]
            + ["--window-size=1500,2000", page],
            capture_output=True, text=True, timeout=120, check=True,
        ).stdout  # fmt: skip
    for text in (
        "Best Trial",
        "Hyperparameter Importance",
        "Timeline",
        "loss (0: all targets met)",
    ):
        assert text in shown, text
    assert "Infeasible" in shown and "x [people]" in shown


def test_a_killed_dashboard_leaves_its_copy_of_the_study_to_the_next_to_remove(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temp = tmp_path / "temp"
    temp.mkdir()
    monkeypatch.setenv("TMPDIR", str(temp))
    with dashboard(study, "--snapshot") as (process, _):
        process.kill()
        process.wait()
    (copy,) = temp.glob("*/study.db")
    with dashboard(study, "--snapshot"):
        assert not copy.exists()
    assert list(temp.iterdir()) == []
