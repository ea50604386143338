"""What a function opens is seen, whatever library opens it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from search.system.opened import Opened, run_noticed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files to read."""
    (tmp_path / "a.csv").write_text("v\n7\n")
    (tmp_path / "b.csv").write_text("v\n8\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def opened_by(function: object) -> set[Opened]:
    _, opened = run_noticed(function)  # type: ignore[arg-type]
    if opened is None:
        pytest.skip("this kernel does not tell")
    return set(opened)


def test_a_native_library_a_thread_and_a_program_are_seen(folder: Path) -> None:
    def read() -> None:
        from pyarrow import csv

        assert csv.read_csv(str(folder / "a.csv")).to_pydict() == {"v": [7]}

    def elsewhere() -> None:
        thread = threading.Thread(target=lambda: Path("b.csv").read_text())
        thread.start()
        thread.join()

    native = Opened(str(folder / "a.csv"), is_folder=False)
    assert native in opened_by(read)
    assert native in opened_by(read)  # also by threads that the library keeps
    assert Opened(str(folder / "b.csv"), is_folder=False) in opened_by(elsewhere)
    assert native in opened_by(lambda: subprocess.run(["cat", folder / "a.csv"], check=True))


def test_a_watch_that_is_started_first_sees_into_each_confinement(folder: Path) -> None:
    opened_by(lambda: None)  # skipped where the kernel does not tell
    code = (
        "from pathlib import Path\n"
        "from search.system.confinement import run_confined\n"
        "from search.system.opened import run_noticed, start_watching\n"
        "start_watching()\n"
        "look = lambda: run_noticed(lambda: open('a.csv').read())[1]\n"
        "for opened in (run_confined(look, []), run_confined(look, []), look()):\n"
        "    print(any(each.path.endswith('a.csv') for each in opened or ()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]


def test_folders_are_told_and_what_is_only_written_is_not(folder: Path) -> None:
    seen = opened_by(lambda: (os.listdir(folder), (folder / "c.csv").write_text("x")))
    assert Opened(str(folder), is_folder=True) in seen
    assert not [one for one in seen if one.path.endswith("c.csv")]


def test_what_it_returns_and_raises_comes_through(folder: Path) -> None:
    assert run_noticed(lambda: 5)[0] == 5
    with pytest.raises(FileNotFoundError):
        run_noticed(lambda: (folder / "none").read_text())
