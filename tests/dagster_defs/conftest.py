"""Definitions over folders of their own: study files, a copy of the dbt project, results."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from dagster_defs.places import ROOT, Places

sys.path.insert(0, str(Path(__file__).parent))

from dagster_folders import copy_of_project


@pytest.fixture(scope="session")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the simulation without anything that was built; not to be changed."""
    return copy_of_project(tmp_path_factory.mktemp("project") / "dbt")


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """A real instance with the settings that we ship, in a folder of its own."""
    home = tmp_path / "dagster_home"
    home.mkdir()
    shutil.copy(ROOT / "dagster_defs" / "dagster.yaml", home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as found:
        yield found


@pytest.fixture
def places_with(tmp_path: Path) -> Callable[..., Places]:
    """Makes places whose study files are copies of the given ones."""

    def make(project: Path, *studies: Path) -> Places:
        configs = tmp_path / "configs"
        configs.mkdir()
        for study in studies:
            shutil.copy(study, configs)
        return Places(configs=configs, project=project, results=tmp_path / "results")

    return make
