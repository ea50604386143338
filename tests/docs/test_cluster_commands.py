"""The commands for a Ray cluster, as README and docs show them, against a real one.

``configs/quick.yaml`` is a study of the tiny project here, which takes seconds; the command
lines are those of the page.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_blocks import cluster_blocks
from ray_cluster import Cluster, running_cluster
from studies import copy_project, stored_trials, tiny_document, write_study

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.ray, pytest.mark.dbt, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as started:
        yield started


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that a reader has, with a small study."""
    tmp_path = tmp_path_factory.mktemp("reader")
    shutil.copytree(
        ROOT / "search", tmp_path / "search", ignore=shutil.ignore_patterns("__pycache__")
    )
    copy_project("tiny", tmp_path / "dbt")
    study = tiny_document(
        study="quick",
        scenario={"dbt_project": "../dbt"},
        resources={"workers": 1, "memory_budget": "2GB"},
    )
    write_study(tmp_path / "configs", study, name="quick.yaml")
    for name in (".gitignore", ".rayignore"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "old.duckdb").write_bytes(b"not to be sent")
    return tmp_path


@pytest.mark.parametrize("page", ["README.md", pytest.param("docs/ray.md", marks=pytest.mark.long)])
def test_the_commands_for_a_cluster_work(page: str, cluster: Cluster, reader: Path) -> None:
    blocks = cluster_blocks((ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=reader, env=cluster.environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert "old.duckdb" not in done.stdout + done.stderr
    assert [t for t in stored_trials(reader / "results", "quick") if t.state.name == "COMPLETE"]
    assert not cluster.processes("WorkerProcess")
