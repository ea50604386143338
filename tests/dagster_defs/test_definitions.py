"""The definitions load without a built manifest, and show the lineage that is promised."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import deque
from pathlib import Path

import dagster as dg
import pytest
from dagster_folders import copy_of_project, run_python, start_python

from dagster_defs.build import definitions
from dagster_defs.locations import ROOT, Places

pytestmark = pytest.mark.dagster

SNAPSHOT = Path(__file__).with_name("lineage.json")
WRITE = "UPDATE_SNAPSHOTS"


@pytest.fixture(scope="module")
def defs(shared_project: Path, tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    places = Places(ROOT / "configs", shared_project, tmp_path_factory.mktemp("results"))
    return definitions(places)


def lineage(defs: dg.Definitions) -> dict[str, dict[str, object]]:
    graph = defs.resolve_asset_graph()
    return {
        key.to_user_string(): {
            "group": graph.get(key).group_name,
            "parents": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
            "checks": sorted(
                check.name for check in graph.asset_check_keys if check.asset_key == key
            ),
            "is_partitioned": graph.get(key).is_partitioned,
        }
        for key in sorted(graph.get_all_asset_keys())
    }


def test_they_are_loadable(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)


def test_asset_keys_and_lineage_are_those_of_the_snapshot(defs: dg.Definitions) -> None:
    """A change is seen in review: UPDATE_SNAPSHOTS=1 writes the file anew."""
    found = lineage(defs)
    if os.environ.get(WRITE):
        SNAPSHOT.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(SNAPSHOT.read_text())


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("census", "tune_compensation_parameters"),
        ("study_files", "tune_compensation_parameters"),
        ("comp_levers", "tune_compensation_parameters"),
        ("comp_targets", "tune_compensation_parameters"),
        ("tune_compensation_parameters", "optimization_scenario_state"),
        ("tune_compensation_parameters", "fct_optimization_metrics"),
        ("best_parameters", "fct_workforce_snapshot"),
    ],
)
def test_the_lineage_leads_from_inputs_to_the_winner(
    defs: dg.Definitions, source: str, result: str
) -> None:
    known = lineage(defs)
    seen, todo = set(), deque([result])
    while todo:
        key = todo.popleft()
        if key not in seen:
            seen.add(key)
            todo.extend(known[key]["parents"])  # type: ignore[arg-type]
    assert source in seen


def test_dbt_is_that_of_this_environment_whatever_the_path_offers(
    shared_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dagster-dbt takes a `dbtf` on the PATH for dbt."""
    impostor = tmp_path / "dbtf"
    impostor.write_text("#!/bin/sh\nexit 1\n")
    impostor.chmod(0o755)
    code = (
        "from pathlib import Path; from dagster_defs.build import dbt_resource;"
        "print(dbt_resource(Path('dbt')).dbt_executable)"
    )
    out = run_python(code, tmp_path, project=shared_project, path=str(tmp_path))
    assert out.strip() == str(Path(sys.executable).with_name("dbt"))


def test_processes_that_load_at_once_build_one_manifest_and_none_imports_ray(
    tmp_path: Path,
) -> None:
    project = copy_of_project(tmp_path / "dbt")
    before = files_of(project)
    code = (
        "import sys; from dagster_defs.definitions import defs;"
        "print(len(defs.resolve_asset_graph().get_all_asset_keys()), 'ray' in sys.modules)"
    )
    processes = [start_python(code, tmp_path, project=project) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    expected = f"{len(json.loads(SNAPSHOT.read_text()))} False"
    assert [out.strip() for out, _ in said] == [expected, expected]
    folder = tmp_path / "results" / ".dagster" / "manifests"
    assert [file.name for file in folder.iterdir()] == [
        file.parent.name for file in folder.glob("*/manifest.json")
    ]
    assert len(list(folder.iterdir())) == 1
    assert files_of(project) == before


def files_of(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*")}


def test_the_commands_of_the_page_name_jobs_and_assets_that_are_there(
    places: Places,
) -> None:
    text = (ROOT / "docs" / "dagster.md").read_text(encoding="utf-8")
    jobs, assets = re.findall(r" -j (\w+)", text), re.findall(r" --select (\w+)", text)
    assert jobs and assets
    made = definitions(places)
    known = {key.to_user_string() for key in made.resolve_asset_graph().get_all_asset_keys()}
    assert set(jobs) <= {job.name for job in made.jobs or ()} and set(assets) <= known
