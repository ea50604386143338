"""Jobs over the assets of one scenario."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from dagster_defs.places import Places
from dagster_defs.scenarios import SCENARIOS, load_scenario, scenario_config, tags_of
from search.errors import SearchError
from search.study import expand

FOUNDATION = dg.AssetSelection.groups("configuration", "foundation")
OPTIMIZATION = dg.AssetSelection.groups("optimization")
SIMULATION = dg.AssetSelection.groups("simulation")
MODELS = SIMULATION | dg.AssetSelection.assets(
    "fct_compensation_growth", "fct_optimization_metrics"
)
WINNER_CHECK = dg.AssetSelection.checks(
    dg.AssetCheckKey(
        dg.AssetKey("fct_optimization_metrics"), "winner_is_reproduced_in_the_main_database"
    )
)


def jobs(places: Places) -> list[Any]:
    """Return the asset jobs; each runs for one scenario, and back-fills for several."""
    return [
        dg.define_asset_job(
            "compensation_tuning_job",
            selection=FOUNDATION | OPTIMIZATION | SIMULATION,
            description="From census and configuration to the study, its best parameters, and "
            "the simulation of the winner in the main database.",
            config=scenario_config(places),
        ),
        dg.define_asset_job(
            "single_year_simulation",
            selection=(FOUNDATION | MODELS) - WINNER_CHECK,
            description="The scenario's first year (or another: `years`) with the parameters in "
            "force, without a search.",
            config=dg.PartitionedConfig(
                partitions_def=SCENARIOS,
                run_config_for_partition_key_fn=lambda scenario: _active(
                    years_of(places, scenario)[:1]
                ),
                tags_for_partition_key_fn=lambda scenario: tags_of(places, scenario),
            ),
        ),
        dg.define_asset_job(
            "multi_year_simulation",
            selection=(FOUNDATION | MODELS) - WINNER_CHECK,
            description="All years of the scenario with the parameters in force, without a search.",
            config=scenario_config(places, _active([])),
        ),
    ]


def years_of(places: Places, scenario: str) -> list[int]:
    """Return the years that a scenario simulates; none when its study file has mistakes."""
    try:
        steps = expand(load_scenario(places, scenario).scenario.steps)
    except SearchError:
        return []
    return [int(step.loop[1]) for step in steps if step.loop and isinstance(step.loop[1], int)]


def _active(years: list[int]) -> Mapping[str, Any]:
    config = {"config": {"parameters": "active", "years": years}}
    return {"ops": {"simulation_dbt_assets": config, "optimization_dbt_assets": config}}
