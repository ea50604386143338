"""One driver a study: who holds the lock is said, and a killed holder holds nothing."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from search.errors import LeaseError
from search.storage.lock import StudyLock

HOLDER = """
import sys
from pathlib import Path
from search.storage.lock import StudyLock
with StudyLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""
# The child announces itself, so that it has run what follows a fork when its parent dies.
FORKING_HOLDER = HOLDER.replace(
    "    print", "    if __import__('os').fork():\n        sys.stdin.readline()\n    print"
)
CONTENDER = """
import sys
from pathlib import Path
from search.errors import LeaseError
from search.storage.lock import StudyLock
path, counter = Path(sys.argv[1]), Path(sys.argv[2])
done = 0
while done < 40:
    try:
        with StudyLock(path):
            value = int(counter.read_text())
            counter.write_text(str(value + 1))
            done += 1
    except LeaseError:
        pass
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results" / "study.lock"


@contextmanager
def other_driver(path: Path, script: str = HOLDER) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_released_lock_leaves_no_file(path: Path) -> None:
    with StudyLock(path) as lock:
        assert path.exists()
        assert lock.holder() is not None
    assert list(path.parent.iterdir()) == []
    assert lock.holder() is None


def test_a_second_driver_is_told_who_holds_it(path: Path) -> None:
    with other_driver(path) as process:
        with pytest.raises(LeaseError) as caught:
            StudyLock(path).acquire()
        assert f"pid {process.pid} on {os.uname().nodename} since 20" in str(caught.value)
        holder = StudyLock(path).holder()
        assert holder is not None and holder["pid"] == process.pid
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_two_locks_of_one_process_exclude_each_other(path: Path) -> None:
    with StudyLock(path), pytest.raises(LeaseError, match=f"pid {os.getpid()}"):
        StudyLock(path).acquire()


@pytest.mark.fault
def test_a_killed_holder_holds_nothing(path: Path) -> None:
    with other_driver(path) as process:
        process.kill()
        process.wait()
    assert path.exists()
    with StudyLock(path):
        pass
    assert not path.exists()


@pytest.mark.fault
def test_a_forked_child_does_not_keep_it(path: Path) -> None:
    with other_driver(path, FORKING_HOLDER) as process:
        process.kill()
        process.wait()
        with StudyLock(path):
            pass


@pytest.mark.fault
def test_contenders_never_hold_it_together(path: Path, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    contenders = [
        subprocess.Popen([sys.executable, "-c", CONTENDER, str(path), str(counter)])
        for _ in range(3)
    ]
    assert [contender.wait(60) for contender in contenders] == [0, 0, 0]
    assert counter.read_text() == "120"
    assert not path.exists()
