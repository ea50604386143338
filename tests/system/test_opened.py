"""What a function opens is seen, whatever library opens it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from search.system.opened import Opened, run_noticed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files to read."""
    (tmp_path / "a.csv").write_text("v\n7\n")
    (tmp_path / "b.csv").write_text("v\n8\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(code: str, *words: str) -> list[str]:
    """Run code in a process of its own, and return the lines that it prints."""
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


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
    assert printed(code) == ["True", "True", "True"]


def test_folders_are_told_and_what_is_only_written_is_not(folder: Path) -> None:
    seen = opened_by(lambda: (os.listdir(folder), (folder / "c.csv").write_text("x")))
    assert Opened(str(folder), is_folder=True) in seen
    assert not [one for one in seen if one.path.endswith("c.csv")]


def test_what_it_returns_and_raises_comes_through(folder: Path) -> None:
    assert run_noticed(lambda: 5)[0] == 5
    with pytest.raises(FileNotFoundError):
        run_noticed(lambda: (folder / "none").read_text())


IN_A_POOL = """
import sys, threading
from pathlib import Path
from pyarrow import dataset
from search.system.opened import run_noticed

def read():
    return dataset.dataset("parts", format="parquet").to_table()

if "used" in sys.argv:
    read()
for function in (read, read, lambda: open("a.csv").read()):
    opened = run_noticed(function)[1]
    print("nobody knows" if opened is None else
          sum(each.path.endswith((".parquet", "a.csv")) for each in opened))
"""


@pytest.mark.parametrize(
    ("state", "told"),
    [("fresh", ["20", "20", "1"]), ("used", ["nobody knows", "nobody knows", "1"])],
)
def test_a_folder_read_by_threads_of_a_library(folder: Path, state: str, told: list[str]) -> None:
    """Threads that were there before the first watch are not watched, and the reader says so."""
    opened_by(lambda: None)  # skipped where the kernel does not tell
    (folder / "parts").mkdir()
    for number in range(20):
        table = pyarrow.table({"v": list(range(1000))})
        parquet.write_table(table, folder / "parts" / f"{number}.parquet")
    assert printed(IN_A_POOL, state) == told


def test_a_program_that_outlives_its_process_can_still_open_files(folder: Path) -> None:
    opened_by(lambda: None)  # skipped where the kernel does not tell
    code = (
        "import subprocess\n"
        "from search.system.opened import run_noticed\n"
        "loop = 'read go; cat a.csv > c.csv; mv c.csv done.csv'\n"
        "run_noticed(lambda: subprocess.Popen(['bash', '-c', loop], stdin=open('pipe')))\n"
    )
    os.mkfifo(folder / "pipe")
    writer = os.open(folder / "pipe", os.O_RDWR)
    try:
        subprocess.run([sys.executable, "-c", code], check=True)
        os.write(writer, b"go\n")
        deadline = time.monotonic() + 20
        while not (folder / "done.csv").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (folder / "done.csv").read_text() == "v\n7\n"
    finally:
        os.close(writer)


def test_threads_of_duckdb_hide_nothing(folder: Path) -> None:
    """They have a log of their own; elsewhere threads at work mean that nobody knows."""
    opened_by(lambda: None)  # skipped where the kernel does not tell
    code = (
        "import contextlib, sys, duckdb\n"
        "from search.system.opened import run_noticed, threads_that_tell\n"
        "told = threads_that_tell() if sys.argv[1] == 'told' else contextlib.nullcontext()\n"
        "with told:\n"
        "    database = duckdb.connect(config={'threads': 4})\n"
        "work = lambda: database.execute('select sum(range) from range(40_000_000)').fetchall()\n"
        "print(run_noticed(work)[1] is not None)\n"
    )
    for state, is_known in (("told", "True"), ("untold", "False")):
        assert printed(code, state) == [is_known]


def test_a_pool_that_was_there_before_cannot_be_vouched_for(folder: Path) -> None:
    opened_by(lambda: None)  # skipped where the kernel does not tell
    code = (
        "import sys, time\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from multiprocessing.pool import ThreadPool\n"
        "from pyarrow import csv\n"
        "from search.system.opened import run_noticed\n"
        "csv.read_csv('b.csv', read_options=csv.ReadOptions(use_threads=False))\n"
        "mine, theirs = ThreadPoolExecutor(1), ThreadPool(1)\n"
        "mine.submit(int).result(), theirs.apply(int)\n"
        "time.sleep(0.2)\n"
        "read = lambda: csv.read_csv('a.csv', read_options=csv.ReadOptions(use_threads=False))\n"
        "print(run_noticed(read)[1] is None)\n"
        "print(run_noticed(lambda: mine.submit(read).result())[1])\n"
        "print(run_noticed(lambda: theirs.apply(read))[1])\n"
        "print(mine.submit(lambda: run_noticed(read)[1] is None).result())\n"
        "mine.shutdown(), theirs.terminate()\n"
    )
    assert printed(code) == ["False", "None", "None", "False"]
