"""What a study writes is its user's alone, whatever the umask."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from studies import copy_project, search_command, tiny_document, write_study

from search.system import files


def modes(folder: Path) -> dict[str, int]:
    """Return what others may do with each file and folder below one, where they may anything."""
    return {
        str(path.relative_to(folder)): path.lstat().st_mode & 0o077
        for path in [folder, *folder.rglob("*")]
        if path.lstat().st_mode & 0o077
    }


def test_what_is_written_meanwhile_is_private_and_what_was_there_closed(tmp_path: Path) -> None:
    os.umask(before := os.umask(0o022))
    (there := tmp_path / "there").mkdir(mode=0o755)
    with files.private(there, tmp_path / "absent"):
        (tmp_path / "file").write_text("")
        subprocess.run(["mkdir", str(tmp_path / "made")], check=True)
    assert there.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
    os.umask(now := os.umask(before))
    assert now == before


@pytest.mark.dbt
def test_a_run_leaves_nothing_that_others_read(tmp_path: Path) -> None:
    project = copy_project("tiny", tmp_path / "project")
    file = write_study(project, tiny_document(search={"max_iterations": 1}))
    results = tmp_path / "results"
    done = subprocess.run(
        search_command("run", file, "--results", results), cwd=tmp_path, umask=0,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    assert (results / "tiny" / "audit.duckdb").exists()
    assert modes(results) == {}
