"""What a target costs the others: the plan at each of its values, as an asset."""

from typing import Any

import dagster as dg
from pydantic import Field

from dagster_defs import metadata
from dagster_defs.assets.tuning import TUNE, TUNING_POOL
from dagster_defs.config import StudyConfig
from dagster_defs.failures import search_failures
from dagster_defs.locations import Places
from dagster_defs.scenarios import SCENARIOS, load_scenario
from dagster_defs.study_process import find_frontier_in_child
from search.driver.frontier import FrontierResult
from search.report.frontier import frontier_picture
from search.study.vary import usual_axis

GROUP = "frontier"


class FrontierConfig(StudyConfig):
    """What is varied, and what a run changes of its study file."""

    vary: list[str] = Field(
        default=[],
        description="metric=low:high:count, such as total_compensation_cost=10.6e9:11.2e9:7; two "
        "for a map. Left out: five values around the study's first target.",
    )


def frontier_assets(places: Places) -> list[dg.AssetsDefinition]:
    """Return the asset of a study's frontier."""

    @dg.asset(
        group_name=GROUP,
        partitions_def=SCENARIOS,
        deps=[TUNE],
        pool=TUNING_POOL,
        kinds={"ray", "optuna", "duckdb"},
        code_version="1",
    )
    def target_frontier(
        context: dg.AssetExecutionContext, config: FrontierConfig
    ) -> dg.MaterializeResult[Any]:
        """For each value of a target the plan that meets all the others.

        Uses what the study has evaluated, and goes on where it stopped. Grain of the trail's table
        ``target_frontier``: a parameter or metric of the plan at a point.
        """
        with search_failures():
            spec = load_scenario(
                places,
                context.partition_key,
                study_file=config.study_file,
                overrides=config.texts(),
            )
            texts = config.vary or [usual_axis(spec).text]
            result = find_frontier_in_child(spec, texts, places.results, context.log.info)
        return dg.MaterializeResult(
            metadata=metadata.present(
                {
                    "frontier": metadata.table(point_rows(result)),
                    "varied": " ".join(axis.text for axis in result.varies),
                    "points": len(result.points),
                    "points that meet every target": sum(point.is_met for point in result.points),
                    "new evaluations": sum(len(point.evaluated) for point in result.points),
                    "plot": metadata.image("the frontier", frontier_picture(spec, result)),
                    "audit trail": dg.MetadataValue.path(result.folder / "audit.duckdb"),
                }
            )
        )

    return [target_frontier]


def point_rows(result: FrontierResult) -> list[metadata.Row]:
    """Return a row for each point: what is varied, the plan, why it is not reached."""
    return [
        {
            **{axis.metric: axis.shown(point.levels[axis.metric]) for axis in result.varies},
            "targets": "met" if point.is_met else "missed",
            **{f"{name} =": value for name, value in point.values.items()},
            "why not": point.reason or "",
            "new evaluations": len(point.evaluated),
        }
        for point in result.points
    ]
