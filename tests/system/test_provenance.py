"""Where a run comes from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from search.audit.records import RunRecord
from search.system.provenance import git_state, versions, who


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    git(tmp_path, "init")
    path = tmp_path / "study.yml"
    path.write_text("study: pay")
    git(tmp_path, "add", "study.yml")
    git(tmp_path, "commit", "-m", "first")
    return path


def test_a_clean_repository(study_file: Path) -> None:
    state = git_state(study_file)
    assert state is not None
    assert state.commit == git(study_file.parent, "rev-parse", "HEAD")
    assert not state.is_dirty
    (study_file.parent / "results").write_text("untracked files of others do not count")
    assert not git_state(study_file).is_dirty  # type: ignore[union-attr]


def test_a_changed_repository(study_file: Path) -> None:
    study_file.write_text("study: bonus")
    state = git_state(study_file)
    assert state is not None and state.is_dirty


def test_a_study_file_that_was_never_committed(study_file: Path) -> None:
    other = study_file.with_name("other.yml")
    other.write_text("study: other")
    state = git_state(other)
    assert state is not None and state.is_dirty


def test_no_repository_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git_state(tmp_path / "study.yml") is None
    monkeypatch.setenv("PATH", "")
    assert git_state(Path(__file__)) is None


def test_versions_are_fields_of_a_run() -> None:
    found = versions()
    assert set(found) <= set(RunRecord.model_fields)
    assert found["duckdb_version"] and found["python_version"]


def test_who_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert who().pid == os.getpid()

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert who().user_name == str(os.getuid())
