"""Folders, processes and runs for tests of the definitions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_defs.build import definitions
from dagster_defs.locations import ROOT, Places

STUDY_ASSETS = (
    "tune_compensation_parameters",
    "optimization_scenario_state",
    "parameter_optimization_results",
    "best_parameters",
)
BUILT = shutil.ignore_patterns("target", "logs", "data", "*.duckdb", "*.wal")


def copy_of_project(folder: Path) -> Path:
    """Copy the simulation without anything that was built, and return its folder."""
    shutil.copytree(ROOT / "dbt", folder, ignore=BUILT)
    return folder


def start_python(
    code: str, folder: Path, *, project: Path, path: str | None = None
) -> subprocess.Popen[str]:
    """Start Python with definitions over folders of its own."""
    environment = os.environ | {
        "SCENARIO_SEARCH_CONFIGS": str(ROOT / "configs"),
        "SCENARIO_SEARCH_DBT_PROJECT": str(project),
        "SCENARIO_SEARCH_RESULTS": str(folder / "results"),
        "PATH": os.pathsep.join(one for one in (path, os.environ["PATH"]) if one),
    }
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_python(code: str, folder: Path, *, project: Path, path: str | None = None) -> str:
    """Run Python with definitions over folders of its own, and return what it prints."""
    process = start_python(code, folder, project=project, path=path)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return out


def materialize(
    places: Places, instance: dg.DagsterInstance, scenario: str, *assets: str, **config: Any
) -> dg.ExecuteInProcessResult:
    """Materialise a study's assets in this process, with their checks.

    Args:
        places: Where everything is.
        instance: Of Dagster; gets the scenario.
        scenario: The partition.
        *assets: All assets of a study when left out.
        **config: Run config of the search.
    """
    instance.add_dynamic_partitions("scenario", [scenario])
    selection = dg.AssetSelection.assets(*(assets or STUDY_ASSETS))
    job = dg.define_asset_job("tried", selection)
    merged = dg.Definitions.merge(definitions(places), dg.Definitions(jobs=[job]))
    ops = {STUDY_ASSETS[0]: {"config": config}} if config else {}
    return merged.resolve_job_def("tried").execute_in_process(
        run_config={"ops": ops}, instance=instance, partition_key=scenario, raise_on_error=False
    )


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """Return the metadata that an asset was materialised with."""
    (event,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """Return how each check came out."""
    return {one.check_name: one for one in result.get_asset_check_evaluations()}
