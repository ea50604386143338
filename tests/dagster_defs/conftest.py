"""Definitions over folders of their own: study files, a copy of the dbt project, results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dagster_folders import copy_of_project

from dagster_defs.__main__ import main
from dagster_defs.locations import Places


@pytest.fixture(scope="session")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the simulation without anything that was built; not to be changed."""
    return copy_of_project(tmp_path_factory.mktemp("project") / "dbt")


@pytest.fixture(scope="session")
def shared_private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What definitions keep for themselves, so that the tests parse the project once."""
    return tmp_path_factory.mktemp("private")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of Dagster with the settings that we ship."""
    folder = tmp_path / "dagster_home"
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    assert main() == 0
    return folder


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """A real instance with the settings that we ship."""
    with dg.DagsterInstance.get() as found:
        yield found


@pytest.fixture
def places(tmp_path: Path, shared_project: Path, shared_private: Path) -> Places:
    """Folders without a study file, over the shared copy of the simulation."""
    for name in ("configs", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "results" / ".dagster").symlink_to(shared_private)
    return Places(tmp_path / "configs", shared_project, tmp_path / "results")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The main database, which the profile names by a variable."""
    path = tmp_path / "workforce.duckdb"
    monkeypatch.setenv("WORKFORCE_DB", str(path))
    return path


@pytest.fixture
def tiny_in(tiny: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a study of the tiny project among the study files of some places."""

    def write(places: Places, **changes: object) -> Path:
        file = tiny(**changes)
        text = file.read_text().replace("dbt_project: .", f"dbt_project: {file.parent}")
        target = places.configs / f"{file.stem}.yaml"
        target.write_text(text)
        return target

    return write
