"""A real run of the retail project, shared by the tests that need one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from search.commands.run import RunOptions, run_study
from search.driver.progress import SilentProgress
from search.study import load_study

# Test modules are imported by path, so the helper beside them has to be made importable.
sys.path.insert(0, str(Path(__file__).parent))

PROJECTS = Path(__file__).parents[1] / "projects"


@pytest.fixture(scope="session")
def retail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the project, its study file and the results of a short run."""
    folder = tmp_path_factory.mktemp("retail")
    shutil.copytree(PROJECTS, folder, dirs_exist_ok=True)
    dbt = Path(sys.executable).with_name("dbt")
    subprocess.run([dbt, "--quiet", "deps"], cwd=folder / "retail", check=True)
    file = folder / "retail" / "study.yml"
    document = yaml.safe_load(file.read_text())
    document["scenario"]["steps"][0]["for_each"] = {"month": [1]}
    document["search"] |= {"max_trials": 2}
    document["resources"]["workers"] = 0
    document["targets"]["revenue"]["value"] = 1
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    run_study(load_study(file), RunOptions(results=folder / "results"), SilentProgress())
    return folder
