"""The dbt models as assets: what a study starts from, and the simulation of its winner."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets
from pydantic import Field

from dagster_defs.assets.tuning import BEST, CENSUS
from dagster_defs.chosen import choose, file_spec
from dagster_defs.failures import search_failures
from dagster_defs.locations import Places
from dagster_defs.main_database import POOL, MainDatabase
from dagster_defs.manifest import relations_of
from dagster_defs.scenarios import SCENARIOS
from dagster_defs.steps import Chosen, StepRun, run_steps

GROUPS = ("configuration", "foundation", "simulation", "company")
"""Groups of models, which are tags of theirs; the others belong to the optimization."""
STOP_SECONDS = 5.0
"""How long an interrupted dbt gets to end before it is killed."""

# Unit tests check the project's text and not its data. A test runs once all tables that it
# reads are there.
TESTS = ("--exclude-resource-type", "unit_test", "--indirect-selection", "buildable")


SINGLE_YEAR = "single_year_simulation"
MULTI_YEAR = "multi_year_simulation"


class SimulationConfig(dg.Config):
    """Which parameters and years to simulate."""

    parameters: str | None = Field(
        default=None,
        description="best: the winner of the scenario's study; active: the parameter set in "
        "force, or the study file's current values while none was applied; current; trial:17; "
        f"set:3. Left out: active in the jobs {SINGLE_YEAR} and {MULTI_YEAR}, best elsewhere.",
    )
    years: list[int] = Field(
        default=[],
        description="Years to simulate, without gaps, when not all of the scenario. A year "
        "opens with the year before, which the database must hold. Left out: the first year in "
        f"the job {SINGLE_YEAR}, all years elsewhere.",
    )

    def parameters_in(self, job: str) -> str:
        """Return which parameters a job simulates: without a search, those in force."""
        return self.parameters or ("active" if job in (SINGLE_YEAR, MULTI_YEAR) else "best")

    def years_in(self, job: str, chosen: Chosen) -> list[int]:
        """Return the years that a job simulates; all of the scenario when empty."""
        return self.years or (chosen.years()[:1] if job == SINGLE_YEAR else [])


class WorkforceTranslator(DagsterDbtTranslator):
    """Groups models by their place in the simulation, and ties them to what is not dbt."""

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        """Return a model's spec: the census feeds ``stg_census``, the winner the parameters."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = self.get_resource_props(manifest, unique_id)
        group = next((tag for tag in node["tags"] if tag in GROUPS), "optimization")
        upstream = {"stg_census": CENSUS, "int_effective_parameters": BEST}.get(node["name"])
        extra = [dg.AssetDep(upstream)] if upstream else []
        return spec.replace_attributes(group_name=group, deps=[*spec.deps, *extra])


def simulation_assets(places: Places, manifest: Path) -> list[dg.AssetsDefinition]:
    """Return the assets of the whole dbt project."""
    translator = WorkforceTranslator()

    @dbt_assets(
        manifest=manifest,
        select="tag:configuration tag:foundation",
        partitions_def=SCENARIOS,
        dagster_dbt_translator=translator,
        pool=POOL,
        name="foundation_dbt_assets",
    )
    def foundation_dbt_assets(
        context: dg.AssetExecutionContext, dbt: DbtCliResource
    ) -> Iterator[Any]:
        """Census and configuration as the scenario's study starts from them, with their tests."""
        with search_failures():
            spec = file_spec(places, context.partition_key)
        yield from build(dbt, context, dict(spec.scenario.vars))

    @dbt_assets(
        manifest=manifest,
        select="tag:simulation",
        partitions_def=SCENARIOS,
        dagster_dbt_translator=translator,
        pool=POOL,
        name="simulation_dbt_assets",
    )
    def simulation_dbt_assets(
        context: dg.AssetExecutionContext,
        dbt: DbtCliResource,
        duckdb_resource: MainDatabase,
        config: SimulationConfig,
    ) -> Iterator[Any]:
        """The simulated years under the scenario's id; tests run on the last one.

        Setup, parameters and earlier years run in one process without Dagster events: an asset
        has one materialization a run.
        """
        with search_failures():
            job = context.run.job_name
            chosen = choose(
                places, duckdb_resource, context.partition_key, config.parameters_in(job)
            )
            *earlier, last = chosen.simulation_steps(config.years_in(job, chosen))
            context.log.info(f"simulating with {chosen.origin}: {json.dumps(dict(chosen.values))}")
            run_steps(
                StepRun(chosen, tuple(earlier), duckdb_resource.path(), relations_of(manifest)),
                report=context.log.info,
            )
        context.log.info(f"{last.name}: build with its tests")
        yield from build(dbt, context, chosen.vars | dict(last.vars))

    @dbt_assets(
        manifest=manifest,
        select="tag:optimization tag:company",
        partitions_def=SCENARIOS,
        dagster_dbt_translator=translator,
        pool=POOL,
        name="optimization_dbt_assets",
    )
    def optimization_dbt_assets(
        context: dg.AssetExecutionContext,
        dbt: DbtCliResource,
        duckdb_resource: MainDatabase,
        config: SimulationConfig,
    ) -> Iterator[Any]:
        """Growth of pay, metrics against their targets and the company tables, of all years."""
        with search_failures():
            job = context.run.job_name
            chosen = choose(
                places, duckdb_resource, context.partition_key, config.parameters_in(job)
            )
            dbt_vars = chosen.optimization_vars(config.years_in(job, chosen))
        yield from build(dbt, context, dbt_vars)

    return [foundation_dbt_assets, simulation_dbt_assets, optimization_dbt_assets]


def build(
    dbt: DbtCliResource, context: dg.AssetExecutionContext, dbt_vars: Mapping[str, Any]
) -> Iterator[Any]:
    """Build the step's models with their tests, and yield Dagster's events of them."""
    arguments = ["build", *TESTS, "--vars", json.dumps(dict(dbt_vars))]
    with tempfile.TemporaryDirectory(prefix="scenario-search-dbt-") as target:
        invocation = dbt.cli(arguments, context=context, target_path=Path(target))
        invocation.termination_timeout_seconds = STOP_SECONDS
        with _ended(invocation.process):
            yield from invocation.stream()


@contextmanager
def _ended(process: Any) -> Iterator[None]:
    """Leave no dbt process behind, however the block ends."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
