"""Everything that Dagster shows, merged; the parts stand in their own modules."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import dagster as dg
from dagster_dbt import DbtCliResource

from dagster_defs.asset_checks import checks
from dagster_defs.assets.frontier import frontier_assets
from dagster_defs.assets.simulation import simulation_assets
from dagster_defs.assets.tuning import tuning_assets
from dagster_defs.iteration import single_iteration_job
from dagster_defs.jobs import jobs
from dagster_defs.locations import Places
from dagster_defs.main_database import MainDatabase
from dagster_defs.manifest import prepared_manifest
from dagster_defs.sensors import sensors


def definitions(places: Places) -> dg.Definitions:
    """Return the definitions for the folders of ``places``.

    Raises:
        ProjectError: If the dbt project does not parse.
    """
    manifest = prepared_manifest(places.project, places.private / "manifests")
    assets = [*tuning_assets(places), *frontier_assets(places)]
    assets += simulation_assets(places, manifest)
    asset_jobs = jobs(places)
    return dg.Definitions(
        assets=assets,
        asset_checks=checks(places, manifest),
        jobs=[*asset_jobs, single_iteration_job(places)],
        sensors=sensors(places, tuning_job=asset_jobs[0]),
        resources={
            "dbt": dbt_resource(places.project),
            "duckdb_resource": MainDatabase(project=str(places.project)),
        },
    )


def dbt_resource(project: Path) -> DbtCliResource:
    """Return dbt-core of this environment, whatever else is called dbt on the PATH."""
    profiles = os.environ.get("DBT_PROFILES_DIR") or project
    return DbtCliResource(
        project_dir=project,
        profiles_dir=str(profiles),
        dbt_executable=str(Path(sys.executable).with_name("dbt")),
    )
