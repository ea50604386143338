"""Jobs over the assets of one scenario."""

from __future__ import annotations

from typing import Any

import dagster as dg

from dagster_defs.assets.simulation import MULTI_YEAR, SINGLE_YEAR
from dagster_defs.locations import Places
from dagster_defs.scenarios import scenario_config

FOUNDATION = dg.AssetSelection.groups("configuration", "foundation")
OPTIMIZATION = dg.AssetSelection.groups("optimization")
SIMULATION = dg.AssetSelection.groups("simulation")
COMPANY = dg.AssetSelection.groups("company")
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
            selection=FOUNDATION | OPTIMIZATION | SIMULATION | COMPANY,
            description="From census and configuration to the study, its best parameters, and "
            "the simulation of the winner in the main database.",
            config=scenario_config(places),
        ),
        dg.define_asset_job(
            SINGLE_YEAR,
            selection=(FOUNDATION | MODELS) - WINNER_CHECK,
            description="The scenario's first year (or another: `years`) with the parameters in "
            "force, without a search.",
            config=scenario_config(places),
        ),
        dg.define_asset_job(
            MULTI_YEAR,
            selection=(FOUNDATION | MODELS) - WINNER_CHECK,
            description="All years of the scenario with the parameters in force, without a search.",
            config=scenario_config(places),
        ),
    ]
