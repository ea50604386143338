"""Files are hashed in pieces, large ones again only when they change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from search.errors import ProjectError
from search.scenario import hashing
from search.scenario.hashing import FileHashes, hash_file

OF_A_BIG_FILE = """
import sys
from pathlib import Path
from search.scenario.hashing import FileHashes
from search.scenario.process import peak_memory_bytes, reset_peak_memory
reset_peak_memory()
before = peak_memory_bytes()
FileHashes().of(Path(sys.argv[1]))
print(peak_memory_bytes() - before)
"""


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A large file that was changed long ago."""
    file = tmp_path / "large.bin"
    file.write_bytes(b"a" * hashing.LARGE_BYTES)
    return file


def _settle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "SETTLED_SECONDS", -1.0)


def _count(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    hashed: list[Path] = []

    def counted(path: Path) -> str:
        hashed.append(path)
        return hash_file(path)

    monkeypatch.setattr(hashing, "hash_file", counted)
    return hashed


def test_a_large_file_is_hashed_once_until_it_changes(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _settle(monkeypatch)
    hashed = _count(monkeypatch)
    first = FileHashes(tmp_path / "memo").of(large)
    assert FileHashes(tmp_path / "memo").of(large) == first and len(hashed) == 1
    status = large.stat()
    large.write_bytes(b"b" * hashing.LARGE_BYTES)
    os.utime(large, ns=(status.st_atime_ns, status.st_mtime_ns))  # as `cp -p` does it
    assert FileHashes(tmp_path / "memo").of(large) != first and len(hashed) == 2


def test_a_file_that_has_just_changed_is_not_remembered(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = _count(monkeypatch)
    for _ in range(2):
        FileHashes(tmp_path / "memo").of(large)
    assert len(hashed) == 2


def test_a_damaged_memo_is_as_good_as_none(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _settle(monkeypatch)
    first = FileHashes(tmp_path / "memo").of(large)
    for damage in ("", "[]", '{"x": 3}', '{"x": [[1, 2, 3], "y"]}'):
        (tmp_path / "memo" / hashing.MEMO_FILE).write_text(damage)
        assert FileHashes(tmp_path / "memo").of(large) == first


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"gone\.bin"):
        FileHashes().of(tmp_path / "gone.bin")


def test_no_file_is_held_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "sparse.bin"
    with file.open("wb") as stream:
        stream.truncate(500_000_000)
    words = [sys.executable, "-c", OF_A_BIG_FILE, str(file)]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert int(said) < 50_000_000
