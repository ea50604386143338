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


def test_a_group_may_read_and_nobody_else_and_write_nobody(tmp_path: Path) -> None:
    before = os.umask(0o077)
    results = tmp_path / "results"
    (results / "study" / "audit").mkdir(parents=True)
    (results / "study" / "audit" / "old").write_text("")
    (results / "study" / "link").symlink_to("/etc/hostname")
    os.umask(0)
    with files.private(results / "study", results / "absent", is_shared=True):
        (results / "study" / "new").write_text("")
        with files.private():
            (results / "study" / "page").write_text("")
    os.umask(before)
    kept = {path.name: path.lstat().st_mode & 0o777 for path in results.rglob("*")}
    assert kept.pop("link") == 0o777  # Linux knows no mode of links
    assert kept == {"study": 0o750, "audit": 0o750, "old": 0o640, "new": 0o640, "page": 0o640}
    assert results.stat().st_mode & 0o777 == 0o750
    with files.private(results / "study"):
        (results / "study" / "later").write_text("")
    assert (results / "study").stat().st_mode & 0o777 == 0o700
    assert (results / "study" / "later").stat().st_mode & 0o777 == 0o600


@pytest.mark.dbt
def test_a_run_that_is_shared_is_read_by_the_group_and_nobody_else(tmp_path: Path) -> None:
    project = copy_project("tiny", tmp_path / "project")
    document = tiny_document(search={"max_iterations": 1}, results={"mode": "group"})
    results = tmp_path / "results"
    done = subprocess.run(
        search_command("run", write_study(project, document), "--results", results),
        cwd=tmp_path, umask=0, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    found = modes(results)
    assert {"tiny/audit.duckdb", "tiny/report.html"} <= found.keys()
    assert set(found.values()) <= {0o050, 0o040}, found


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


def lock_from_here(path: Path) -> int | None:
    """Return a descriptor with the lock when it is free: locks of one process exclude, too."""
    return files.lock_path(path, lambda: os.open(path, os.O_RDONLY), is_patient=False)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_lock_is_held_until_the_end_of_its_block(tmp_path: Path, kind: str) -> None:
    path = tmp_path if kind == "folder" else tmp_path / "made.lock"
    with files.locked(path):
        assert lock_from_here(path) is None
    descriptor = lock_from_here(path)
    assert descriptor is not None
    os.close(descriptor)


def test_a_lock_on_what_was_removed_meanwhile_is_taken_anew(tmp_path: Path) -> None:
    path = tmp_path / "study.lock"
    opened: list[int] = []

    def opening() -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        opened.append(os.fstat(descriptor).st_ino)
        if len(opened) == 1:
            path.rename(tmp_path / "removed")  # what its holder does before it lets go
        return descriptor

    descriptor = files.lock_path(path, opening)
    assert descriptor is not None and os.fstat(descriptor).st_ino == path.stat().st_ino
    assert len(set(opened)) == 2
    os.close(descriptor)


def test_a_published_folder_is_read_only_where_it_must_last(tmp_path: Path) -> None:
    for name, is_lasting in (("lasting", True), ("passing", False)):
        with files.building_folder(tmp_path / "cache") as building:
            (content := building / "content").mkdir()
            (content / "file").write_text("whole")
            assert files.publish_folder(
                content, tmp_path / name, Path.is_dir, is_lasting=is_lasting
            )
        assert (tmp_path / name / "file").read_text() == "whole"
        assert bool((tmp_path / name / "file").stat().st_mode & 0o200) is not is_lasting
    assert not list((tmp_path / "cache").iterdir())
