from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from search.system.scratch import (
    MAKING_SECONDS,
    OWNER_FILE,
    PREFIX,
    create_scratch,
    remove_scratch,
    sweep_scratch,
)


@pytest.mark.fault
def test_only_the_folders_of_dead_owners_are_swept(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from search.system.scratch import create_scratch;"
        " print(create_scratch(Path(sys.argv[1])), flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdin is not None
    others = Path(process.stdout.readline().strip())
    own = create_scratch(tmp_path)
    (others / "spill").mkdir()
    (others / "spill" / "data.tmp").write_text("spilled")
    assert sweep_scratch(tmp_path) == []
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdin.close()
    process.stdout.close()
    assert sweep_scratch(tmp_path) == [others]
    assert list(tmp_path.iterdir()) == [own]
    remove_scratch(own)
    remove_scratch(own)
    assert list(tmp_path.iterdir()) == []


def test_a_pid_that_is_used_again_is_another_owner(tmp_path: Path) -> None:
    folder = create_scratch(tmp_path)
    owner = json.loads((folder / OWNER_FILE).read_text())
    assert owner["pid"] == os.getpid()
    (folder / OWNER_FILE).write_text(json.dumps(owner | {"since_boot": owner["since_boot"] - 1000}))
    assert sweep_scratch(tmp_path) == [folder]


def test_a_clock_that_is_set_makes_no_owner_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = create_scratch(tmp_path)
    boot = psutil.boot_time()
    born = psutil.Process().create_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot + 3600)
    assert psutil.Process().create_time() >= born + 3590  # what the calendar says of this process
    assert sweep_scratch(tmp_path) == []
    remove_scratch(folder)


def test_folders_cut_off_in_the_making(tmp_path: Path) -> None:
    empty, full, foreign = (tmp_path / name for name in (f"{PREFIX}a", f"{PREFIX}b", "else"))
    for folder in (empty, full, foreign):
        folder.mkdir()
    (full / "data").write_text("whose?")
    assert sweep_scratch(tmp_path) == []  # somebody may be making it at this moment
    long_ago = time.time() - 2 * MAKING_SECONDS
    os.utime(empty, (long_ago, long_ago))
    assert sweep_scratch(tmp_path) == [empty]
    assert full.exists() and foreign.exists()
    assert sweep_scratch(tmp_path / "missing") == []


def test_a_folder_that_its_owner_removes_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = tmp_path / f"{PREFIX}going"
    going.mkdir()
    read_text = Path.read_text

    def read_too_late(file: Path) -> str:
        remove_scratch(going)
        return read_text(file)

    monkeypatch.setattr(Path, "read_text", read_too_late)
    assert sweep_scratch(tmp_path) == []
    assert not going.exists()
