from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from workspace_contract import MakeSandbox, WorkspaceContract

from search.errors import WorkspaceError
from search.scenario.compiled.emission import BASELINE
from search.scenario.compiled.replay_workspace import (
    CopyWorkspace,
    OverlayWorkspace,
    ReplayWorkspace,
)
from search.scenario.duck_limits import DuckLimits
from search.scenario.plan import Profile, ScenarioPlan
from search.scenario.relations import Relations
from search.scenario.workspace import FileCopyWorkspace

MIB = 2**20


class _FileCopy:
    """A file copy, opened as dbt opens it."""

    def __init__(self, workspace: FileCopyWorkspace) -> None:
        self._workspace = workspace
        self._connection: Any = None

    def begin(self) -> Any:
        self._workspace.create()
        self._connection = duckdb.connect(str(self._workspace.path))
        return self._connection

    def end(self) -> None:
        self._connection.close()
        self._workspace.discard()

    def baseline_name(self, relation: str) -> str:
        return relation


class TestFileCopyWorkspace(WorkspaceContract):
    @pytest.fixture
    def make(self, baseline: Path, tmp_path: Path) -> MakeSandbox:
        return lambda name: _FileCopy(FileCopyWorkspace(baseline=baseline, folder=tmp_path / name))

    def test_views_of_the_baseline_see_the_copy(self, make: MakeSandbox) -> None:
        sandbox = make("one")
        connection = sandbox.begin()
        connection.execute("delete from items where id >= 10")
        assert connection.execute("select n from many").fetchone() == (10,)
        sandbox.end()


class _Replayed:
    """A workspace of the compiled engine."""

    def __init__(self, workspace: ReplayWorkspace, prefix: str) -> None:
        self._workspace = workspace
        self._prefix = prefix

    def begin(self) -> Any:
        self._workspace.begin()
        return self._workspace.connection

    def end(self) -> None:
        self._workspace.end()

    def baseline_name(self, relation: str) -> str:
        return f"{self._prefix}{relation}"


def _plan(baseline: Path) -> ScenarioPlan:
    return ScenarioPlan(
        project_dir=baseline.parent,
        profile=Profile("shop", "dev", {"type": "duckdb"}, "shop"),
        baseline=baseline,
        vars={},
        steps=(),
        relations=Relations(),
        metrics=(),
        var_binds=(),
        table_binds=(),
        replication_var=None,
        allow_external_access=False,
        fingerprints={},
    )


def _limits(folder: Path) -> DuckLimits:
    return DuckLimits(64 * MIB, 1, folder / "spill", 64 * MIB)


class TestCopyWorkspace(WorkspaceContract):
    @pytest.fixture
    def make(self, baseline: Path, tmp_path: Path) -> MakeSandbox:
        return lambda name: _Replayed(
            CopyWorkspace(
                _plan(baseline),
                tmp_path / "program",
                _limits(tmp_path / name),
                folder=tmp_path / name / "copy",
            ),
            prefix="",
        )


class TestOverlayWorkspace(WorkspaceContract):
    @pytest.fixture
    def make(self, baseline: Path, tmp_path: Path) -> Iterator[MakeSandbox]:
        made: list[OverlayWorkspace] = []

        def make(name: str) -> _Replayed:
            limits = _limits(tmp_path / name)
            made.append(OverlayWorkspace(_plan(baseline), tmp_path / "program", limits))
            return _Replayed(made[-1], prefix=f"{BASELINE}.")

        yield make
        for workspace in made:
            workspace.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = os.geteuid() == 0 and shutil.which("mount")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not mounted or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def big_file(folder: Path) -> Path:
    path = folder / "big.duckdb"
    path.write_bytes(os.urandom(4 * MIB))
    return path


def test_a_full_disk_is_told_with_what_is_needed_and_leaves_nothing(
    small_disk: Path, tmp_path: Path
) -> None:
    workspace = FileCopyWorkspace(baseline=big_file(tmp_path), folder=small_disk / "workspace")
    with pytest.raises(WorkspaceError, match=r"no room .* \(4 MB\) .*resources.scratch"):
        workspace.create()
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_while_copying(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:MIB])
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("search.scenario.workspace.shutil.copyfile", fill)
    workspace = FileCopyWorkspace(baseline=big_file(tmp_path), folder=tmp_path / "workspace")
    with pytest.raises(WorkspaceError, match=r"no room .* \(4 MB\)"):
        workspace.create()
    assert not (tmp_path / "workspace").exists()


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    workspace = FileCopyWorkspace(baseline=big_file(tmp_path), folder=tmp_path / "taken")
    with pytest.raises(WorkspaceError, match="cannot copy .* File exists"):
        workspace.create()


def test_what_an_earlier_owner_left_is_not_taken_over(tmp_path: Path) -> None:
    workspace = FileCopyWorkspace(baseline=big_file(tmp_path), folder=tmp_path / "workspace")
    workspace.create()
    workspace.path.with_name("big.duckdb.wal").write_text("commits of someone else")
    workspace.create()
    assert [path.name for path in (tmp_path / "workspace").iterdir()] == ["big.duckdb"]


def test_a_context_discards_when_its_block_fails(tmp_path: Path) -> None:
    workspace = FileCopyWorkspace(baseline=big_file(tmp_path), folder=tmp_path / "workspace")
    with pytest.raises(RuntimeError), workspace:
        assert workspace.path.stat().st_size == 4 * MIB
        raise RuntimeError
    assert not (tmp_path / "workspace").exists()
