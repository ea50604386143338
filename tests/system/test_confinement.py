from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from search.system.confinement import landlock_version, run_confined

pytestmark = pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder that may be written, and one that may not."""
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.mkdir()
    theirs.mkdir()
    (theirs / "kept.txt").write_text("kept")
    return mine, theirs


WAYS: dict[str, Callable[[Path], object]] = {
    "make": lambda folder: (folder / "new.txt").write_text("x"),
    "change": lambda folder: (folder / "kept.txt").write_text("x"),
    "append": lambda folder: (folder / "kept.txt").open("a"),
    "remove": lambda folder: (folder / "kept.txt").unlink(),
    "move": lambda folder: (folder / "kept.txt").rename(folder / "other.txt"),
    "make a folder": lambda folder: (folder / "new").mkdir(),
    "make a link": lambda folder: (folder / "link").symlink_to("kept.txt"),
    "by duckdb": lambda folder: duckdb.connect().execute(f"copy (select 1) to '{folder}/kept.txt'"),
    "by another program": lambda folder: subprocess.run(
        [sys.executable, "-c", f"open('{folder}/new.txt', 'w')"], check=True, capture_output=True
    ),
}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_nothing_outside_is_changed(way: str, folders: tuple[Path, Path]) -> None:
    mine, theirs = folders
    with pytest.raises((OSError, duckdb.Error, subprocess.CalledProcessError)):
        run_confined(lambda: WAYS[way](theirs), [mine])
    assert {one.name: one.read_text() for one in theirs.iterdir()} == {"kept.txt": "kept"}
    shutil.copytree(theirs, mine, dirs_exist_ok=True)
    run_confined(lambda: WAYS[way](mine), [mine])
    WAYS[way](theirs)  # and this thread is free


def test_reading_is_free_and_results_and_errors_come_back(folders: tuple[Path, Path]) -> None:
    mine, theirs = folders
    assert run_confined(lambda: (theirs / "kept.txt").read_text(), [mine]) == "kept"

    def fail() -> None:
        raise ValueError("a reason")

    with pytest.raises(ValueError, match="a reason"):
        run_confined(fail, [mine])


def test_an_interruption_ends_the_function_too(folders: tuple[Path, Path]) -> None:
    mine, _ = folders
    started, cleaned = threading.Event(), threading.Event()

    def last_long() -> None:
        try:
            started.set()
            for _ in range(600):
                time.sleep(0.05)
        finally:
            cleaned.set()

    import signal

    def interrupt() -> None:
        started.wait(10)
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            run_confined(last_long, [mine])
    finally:
        signal.signal(signal.SIGINT, before)
    assert cleaned.wait(5)
