"""A change of several files is whole, whenever the process that makes it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from projects import ANA, LEVERS, PROJECT, journal_file, levers, make, project, sets_of

from search.errors import AuditError
from search.parameter_sets import commit
from search.parameter_sets.commit import PENDING
from search.parameter_sets.journal import VALUES, Origin
from search.parameter_sets.sets import ParameterSets
from search.study import StudySpec

BY_VALUES = Origin(kind=VALUES)
VALUES_OF_BOTH_FILES = {"tip": 2.0, "cola": 0.01, "days": 60}

KILLED = """
import itertools, json, os, signal, sys, tempfile
from pathlib import Path
sys.path[:0] = json.loads(sys.argv[1])
import search.system.files as files
from search.parameter_sets.journal import VALUES, Origin
from search.parameter_sets.sets import Author, ParameterSets
from search.study import load_study

def counted(function, at, numbers):
    def call(*args, **kwargs):
        if next(numbers) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call

def apply(file, at, values):
    numbers = itertools.count(1)
    for name in ("replace", "fsync", "unlink"):
        setattr(os, name, counted(getattr(os, name), at, numbers))
    tempfile.tempdir = str(Path(file).parent)
    spec = load_study(Path(file))
    ParameterSets(spec).apply(values, Origin(kind=VALUES), Author("ana", "a test"))

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            apply(*json.loads(line))
            code = 0
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}")
        finally:
            sys.stderr.flush()
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""

KilledAt = Callable[[StudySpec, int], bool]


@pytest.fixture
def killed_at(tmp_path: Path) -> Iterator[KilledAt]:
    """Applies in a process that kills itself before its n-th step on the disk.

    The processes are forks of one that has imported everything. False when the process ends.
    """
    with (tmp_path / "said").open("w+") as said:
        parent = subprocess.Popen(
            [sys.executable, "-c", KILLED, json.dumps(sys.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
        )  # fmt: skip
        assert parent.stdin is not None and parent.stdout is not None

        def killed(spec: StudySpec, at: int) -> bool:
            assert parent.stdin is not None and parent.stdout is not None
            parent.stdin.write(json.dumps([str(spec.file), at, VALUES_OF_BOTH_FILES]) + "\n")
            parent.stdin.flush()
            code = int(parent.stdout.readline() or 1)
            assert code in (0, -signal.SIGKILL), (tmp_path / "said").read_text()
            return code != 0

        yield killed
        parent.stdin.close()
        assert parent.wait(60) == 0
        parent.stdout.close()


def applied_files(folder: Path) -> tuple[str, str]:
    spec = make(folder)
    sets_of(spec).apply(VALUES_OF_BOTH_FILES, BY_VALUES, ANA)
    return levers(spec), project(spec)


@pytest.mark.fault
def test_killed_at_any_step_it_is_done_or_not(tmp_path: Path, killed_at: KilledAt) -> None:
    done = applied_files(tmp_path / "undisturbed")
    outcomes = []
    for at in range(1, 40):
        spec = make(tmp_path / str(at))
        was_killed = killed_at(spec, at)
        if not was_killed:
            break
        sets = sets_of(spec).journal().sets
        outcomes.append(len(sets))
        assert (levers(spec), project(spec)) == (done if sets else (LEVERS, PROJECT))
        assert [one.version for one in sets] == list(range(len(sets)))
        folder = journal_file(spec).parent
        names = {path.name for path in folder.iterdir()} if folder.exists() else set()
        assert names <= {"mine.jsonl"}
        # And it can be used as if nothing had been.
        assert sets_of(spec).apply(VALUES_OF_BOTH_FILES, BY_VALUES, ANA).active.version == 1
        assert (levers(spec), project(spec)) == done
    assert not was_killed and 10 < len(outcomes) < 39
    assert set(outcomes) == {0, 2}, "killed before and after the decision"


def interrupted(spec: StudySpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the seed written and dbt_project.yml not, as a killed process would."""
    real, count = commit._replace, 0

    def replace(path: Path, content: bytes, folder: Path) -> None:
        nonlocal count
        count += 1
        if count == 3:  # the decision, the seed, and now the project
            raise KeyboardInterrupt
        real(path, content, folder)

    monkeypatch.setattr(commit, "_replace", replace)
    with pytest.raises(KeyboardInterrupt):
        sets_of(spec).apply(VALUES_OF_BOTH_FILES, BY_VALUES, ANA)
    monkeypatch.undo()
    assert levers(spec) != LEVERS and project(spec) == PROJECT
    assert (journal_file(spec).parent / PENDING).exists()


def test_what_was_cut_off_is_undone_when_a_file_was_edited_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make(tmp_path)
    interrupted(spec, monkeypatch)
    edited = PROJECT.replace("days: 30", "days: 31")
    (spec.file.parent / "project" / "dbt_project.yml").write_text(edited)
    assert sets_of(spec).journal().sets == ()
    assert (levers(spec), project(spec)) == (LEVERS, edited)
    assert not (journal_file(spec).parent / PENDING).exists()


def test_a_damaged_decision_is_told_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make(tmp_path)
    interrupted(spec, monkeypatch)
    pending = journal_file(spec).parent / PENDING
    content = pending.read_bytes()
    at = content.index(b'"after":"') + 12
    flipped = b"A" if content[at : at + 1] != b"A" else b"B"
    pending.write_bytes(content[:at] + flipped + content[at + 1 :])
    with pytest.raises(AuditError, match="pending.json .* is damaged; compare the files with git"):
        sets_of(spec).journal()
    assert pending.exists()


def test_a_disk_that_refuses_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make(tmp_path)
    real = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == "dbt_project.yml":
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(AuditError, match="No space left on device.*nothing was changed"):
        sets_of(spec).apply(VALUES_OF_BOTH_FILES, BY_VALUES, ANA)
    monkeypatch.undo()
    assert (levers(spec), project(spec)) == (LEVERS, PROJECT)
    assert not journal_file(spec).parent.exists()


def test_applying_at_the_same_moment_loses_no_set(tmp_path: Path) -> None:
    spec = make(tmp_path)

    def apply(number: int) -> int:
        values = {"days": 40 + number}
        return ParameterSets(spec).apply(values, BY_VALUES, ANA).active.version

    with ThreadPoolExecutor(8) as threads:
        versions = list(threads.map(apply, range(8)))
    assert sorted(versions) == list(range(1, 9))
    journal = sets_of(spec).journal()
    assert [one.version for one in journal.sets] == list(range(9))
    assert journal.active is not None and f"days: {journal.active.values['days']}" in project(spec)
