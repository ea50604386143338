"""What a study yields: the search itself, its state, its results, and the best parameters."""

from typing import Any

import dagster as dg

from dagster_defs import metadata
from dagster_defs.config import StudyConfig
from dagster_defs.failures import search_failures
from dagster_defs.locations import Places
from dagster_defs.main_database import POOL, MainDatabase
from dagster_defs.progress import StudyObserver
from dagster_defs.rows import (
    ALTERNATIVES_TABLE,
    BEST_TABLE,
    FUTURES_TABLE,
    RESULTS_TABLE,
    STATE_TABLE,
    alternative_rows,
    best_rows,
    future_rows,
    result_rows,
    state_rows,
)
from dagster_defs.scenarios import (
    FINGERPRINT_TAG,
    SCENARIOS,
    STUDY_TAG,
    inputs_fingerprint,
    load_scenario,
)
from dagster_defs.study_process import run_study_in_child
from search.commands.run import RunOptions
from search.driver.results import RunResult
from search.report.facts import StudyFacts
from search.report.gathering import read_facts
from search.study.budget import format_bytes
from search.views.text import duration_text

GROUP = "optimization"
TUNING_POOL = "tuning"
"""A study takes the whole memory budget: studies of this pool wait for each other."""

CENSUS = dg.AssetKey("census")
STUDY_FILES = dg.AssetKey("study_files")
TUNE = dg.AssetKey("tune_compensation_parameters")
RESULTS = dg.AssetKey("parameter_optimization_results")
BEST = dg.AssetKey("best_parameters")

ANCHOR = "trail anchor"
"""Metadata: the audit trail's head at the end of the run, which a check holds the trail to."""

FOUNDATION = ("stg_census", "stg_comp_levers", "stg_comp_targets", "stg_levers", "stg_job_levels")
"""Models that a study starts from; it builds them in its own baseline by the same steps."""


def tuning_assets(places: Places) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return the assets of a study and the inputs that people maintain."""

    @dg.asset(
        key=TUNE,
        group_name=GROUP,
        partitions_def=SCENARIOS,
        deps=[STUDY_FILES, *FOUNDATION],
        pool=TUNING_POOL,
        kinds={"ray", "optuna", "duckdb"},
        retry_policy=dg.RetryPolicy(max_retries=2, delay=10),
        code_version="1",
    )
    def tune_compensation_parameters(
        context: dg.AssetExecutionContext, config: StudyConfig
    ) -> dg.MaterializeResult[Any]:
        """Search the parameters that meet the scenario's targets.

        Runs the scenario's study on Ray workers and goes on where it stopped: a retry, a
        re-execution or a later run repeats no finished trial. Writes the audit trail.
        Missing the targets is a result, and no failure; the check says why.
        """
        scenario = context.partition_key
        with search_failures():
            spec = load_scenario(
                places, scenario, study_file=config.study_file, overrides=config.texts()
            )
            fingerprint = inputs_fingerprint(spec)
            context.instance.add_run_tags(
                context.run.run_id, {STUDY_TAG: scenario, FINGERPRINT_TAG: fingerprint[:16]}
            )
            # A retry goes on with what the attempt before it started anew.
            is_restart = config.is_restart and context.retry_number == 0
            result = run_study_in_child(
                spec,
                RunOptions(results=places.results, is_restart=is_restart),
                StudyObserver(context).take,
            )
            facts = read_facts(result.folder, study=result.study)
        return dg.MaterializeResult(
            metadata=metadata.present(tuning_metadata(facts, result)),
            data_version=dg.DataVersion(f"{result.study}/{facts.best}/{len(facts.trials)}"),
        )

    @dg.asset(
        group_name=GROUP,
        partitions_def=SCENARIOS,
        deps=[TUNE],
        pool=POOL,
        kinds={"duckdb"},
        code_version="1",
    )
    def optimization_scenario_state(
        context: dg.AssetExecutionContext, duckdb_resource: MainDatabase
    ) -> dg.MaterializeResult[Any]:
        """The course of the study: best parameters and variances after each iteration.

        Grain: one row per scenario and iteration, in ``optimization.optimization_scenario_state``.
        """
        with search_failures():
            facts = facts_of(places, context.partition_key)
            rows = state_rows(facts, context.partition_key)
            duckdb_resource.replace_rows(STATE_TABLE, rows, scenario=context.partition_key)
        return dg.MaterializeResult(
            metadata=metadata.present(
                {
                    "iterations": metadata.table(rows),
                    "converged": facts.run.is_converged,
                    "reason": facts.run.reason,
                    "dagster/row_count": len(rows),
                    "table": STATE_TABLE.full_name,
                }
            )
        )

    @dg.asset(
        key=RESULTS,
        group_name=GROUP,
        partitions_def=SCENARIOS,
        deps=[TUNE],
        pool=POOL,
        kinds={"duckdb"},
        code_version="1",
    )
    def parameter_optimization_results(
        context: dg.AssetExecutionContext, duckdb_resource: MainDatabase
    ) -> dg.MaterializeResult[Any]:
        """What the study recommends and what it achieves, side by side with today.

        Grain: one row per scenario, kind (``parameter`` or ``metric``) and name, in
        ``optimization.parameter_optimization_results``. The other plans that meet every target are
        in ``optimization.plan_alternatives``, the plan under other random seeds in
        ``optimization.plan_futures``.
        """
        with search_failures():
            facts = facts_of(places, context.partition_key)
            rows = result_rows(facts, context.partition_key)
            scenario = context.partition_key
            duckdb_resource.replace_rows(RESULTS_TABLE, rows, scenario=scenario)
            for further, known in (
                (ALTERNATIVES_TABLE, alternative_rows(facts, scenario)),
                (FUTURES_TABLE, future_rows(facts, scenario)),
            ):
                duckdb_resource.replace_rows(further, known, scenario=scenario)
        return dg.MaterializeResult(
            metadata=metadata.present(
                {
                    **metadata.decision(facts),
                    "targets": metadata.table(metadata.target_rows(facts)),
                    "parameters": metadata.table(metadata.parameter_rows(facts)),
                    "dagster/row_count": len(rows),
                    "table": RESULTS_TABLE.full_name,
                }
            )
        )

    @dg.asset(
        key=BEST,
        group_name=GROUP,
        partitions_def=SCENARIOS,
        deps=[RESULTS],
        pool=POOL,
        kinds={"duckdb"},
        code_version="1",
    )
    def best_parameters(
        context: dg.AssetExecutionContext, duckdb_resource: MainDatabase
    ) -> dg.MaterializeResult[Any]:
        """The winner's parameters, exactly; what the simulation is materialised with.

        Grain: one row per scenario and parameter, in ``optimization.best_parameters``.
        """
        with search_failures():
            facts = facts_of(places, context.partition_key)
            rows = best_rows(facts, context.partition_key)
            duckdb_resource.replace_rows(BEST_TABLE, rows, scenario=context.partition_key)
        return dg.MaterializeResult(
            metadata=metadata.present(metadata.decision(facts))
            | {
                "parameters": dg.MetadataValue.json(
                    {parameter.name: parameter.best for parameter in facts.parameters}
                ),
                "trial": facts.best if facts.best is not None else -1,
                "dagster/row_count": len(rows),
                "table": BEST_TABLE.full_name,
            }
        )

    return [
        dg.AssetSpec(
            CENSUS,
            description="The people: the census file that a study file names, or one that dbt "
            "generates. People maintain it; the sensor watches it.",
            group_name="inputs",
        ),
        dg.AssetSpec(
            STUDY_FILES,
            description=f"Study files ({places.configs.name}/*.yaml): parameters, targets and "
            "steps of each scenario. People maintain them; the sensor watches them.",
            group_name="inputs",
            kinds={"yaml"},
        ),
        tune_compensation_parameters,
        optimization_scenario_state,
        parameter_optimization_results,
        best_parameters,
    ]


def facts_of(places: Places, scenario: str) -> StudyFacts:
    """Return what the newest version of a scenario's study found.

    Raises:
        AuditError: If the study has not run yet.
    """
    return read_facts(places.results / scenario)


def tuning_metadata(facts: StudyFacts, result: RunResult) -> dict[str, Any]:
    """Return what a person wants to see of a finished study."""
    end = result.end
    return {
        "targets": metadata.table(metadata.target_rows(facts)),
        "parameters": metadata.table(metadata.parameter_rows(facts)),
        "convergence": metadata.convergence_plot(facts),
        "converged": result.is_converged,
        "reason": result.reason,
        "best trial": end.best.number if end.best else None,
        "iterations": end.iterations,
        "trials": end.trials,
        "failed trials": end.failed_trials,
        "verified by dbt": result.is_verified,
        "metrics verified": result.is_metrics_verified,
        "tests": metadata.test_table(facts),
        "engine": f"{result.engine} on {result.isolation}",
        ANCHOR: result.anchor or None,
        "workers": result.memory.workers,
        "time": duration_text(result.wall_seconds),
        "wall seconds": round(result.wall_seconds, 1),
        "seconds to first candidate": round(result.startup_seconds, 1),
        "peak memory MB": round(result.peak_memory_bytes / 1e6, 1),
        "memory budget": format_bytes(result.memory.budget_bytes),
        "warnings": dg.MetadataValue.json(list(result.warnings)) if result.warnings else None,
        **metadata.places_of(facts),
    }
