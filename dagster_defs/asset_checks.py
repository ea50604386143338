"""Asset checks: did the study converge, can its result be relied upon, does dbt reproduce it."""

from pathlib import Path
from typing import Any

import dagster as dg

from dagster_defs import metadata
from dagster_defs.assets.tuning import ANCHOR, RESULTS, TUNE, facts_of
from dagster_defs.chosen import choose, spec_of_run
from dagster_defs.failures import search_failures
from dagster_defs.locations import Places
from dagster_defs.main_database import POOL, MainDatabase
from dagster_defs.manifest import relations_of
from dagster_defs.reliance import audit_gaps, not_reproduced, out_of_bounds
from dagster_defs.scenarios import SCENARIOS
from dagster_defs.steps import compare_metrics, written_beside
from search.report.facts import StudyFacts
from search.views.appraisal import diagnosis_lines

METRICS = dg.AssetKey("fct_optimization_metrics")


def checks(places: Places, manifest: Path) -> list[dg.AssetChecksDefinition]:
    """Return the checks of a study's assets."""

    @dg.asset_check(asset=TUNE, partitions_def=SCENARIOS)
    def validate_optimization_convergence(
        context: dg.AssetCheckExecutionContext,
    ) -> dg.AssetCheckResult:
        """All targets are met by the best trial. A warning, with the reasons, when not."""
        with search_failures():
            return convergence_result(facts_of(places, context.partition_key))

    @dg.asset_check(asset=RESULTS, partitions_def=SCENARIOS)
    def validate_optimization_results_quality(
        context: dg.AssetCheckExecutionContext,
    ) -> dg.AssetCheckResult:
        """The parameters are allowed, real dbt gives the same metrics, the audit is complete."""
        with search_failures():
            facts = facts_of(places, context.partition_key)
            spec = spec_of_run(places, context.partition_key, facts)
            faults = {
                "parameters in bounds": out_of_bounds(facts, spec),
                "metrics reproduce through dbt": not_reproduced(facts, spec, places.results),
                "audit complete": audit_gaps(
                    spec, places.results, last_anchor(context.instance, context.partition_key)
                ),
            }
        return faults_result(faults)

    @dg.asset_check(asset=METRICS, partitions_def=SCENARIOS, pool=POOL)
    def winner_is_reproduced_in_the_main_database(
        context: dg.AssetCheckExecutionContext, duckdb_resource: MainDatabase
    ) -> dg.AssetCheckResult:
        """The study's metrics, read from the main database, are those of the best trial.

        A warning when they are not, because somebody may have simulated other parameters.
        """
        with search_failures():
            chosen = choose(places, duckdb_resource, context.partition_key, "best")
            facts = facts_of(places, context.partition_key)
            metrics = facts.metrics.get(chosen.trial if chosen.trial is not None else -1, {})
            reproduced = {
                name: metric.value for name, metric in metrics.items() if metric.value is not None
            }
            with duckdb_resource.connect() as connection:
                compared = compare_metrics(
                    connection, chosen, relations_of(manifest), reproduced,
                    readable=[written_beside(duckdb_resource.path())],
                )  # fmt: skip
        rows: list[metadata.Row] = [
            {
                "metric": comparison.metric,
                "trial": comparison.found,
                "main database": comparison.reproduced,
            }
            for comparison in compared
        ]
        return dg.AssetCheckResult(
            passed=all(comparison.is_same for comparison in compared),
            severity=dg.AssetCheckSeverity.WARN,
            description=chosen.origin,
            metadata=metadata.present({"metrics": metadata.table(rows)}),
        )

    return [
        validate_optimization_convergence,
        validate_optimization_results_quality,
        winner_is_reproduced_in_the_main_database,
    ]


def last_anchor(instance: dg.DagsterInstance, scenario: str) -> str | None:
    """Return the trail's anchor that the scenario's last run left in Dagster, or None."""
    wanted = dg.AssetRecordsFilter(asset_key=TUNE, asset_partitions=[scenario])
    for record in instance.fetch_materializations(wanted, limit=1).records:
        materialization = record.asset_materialization
        if materialization is not None and ANCHOR in materialization.metadata:
            return str(materialization.metadata[ANCHOR].value)
    return None


def convergence_result(facts: StudyFacts) -> dg.AssetCheckResult:
    """Return whether a study met its targets, and why not."""
    run = facts.run
    reasons = diagnosis_lines(facts.appraisal) if not run.is_converged else []
    details: dict[str, Any] = {
        "state": run.state,
        "reason": run.reason,
        "reason code": run.reason_code,
        "tests": metadata.test_table(facts),
        "why": dg.MetadataValue.md("\n".join(f"- {line}" for line in reasons)) if reasons else None,
        "targets": metadata.table(metadata.target_rows(facts)),
    }
    return dg.AssetCheckResult(
        passed=bool(run.is_converged),
        severity=dg.AssetCheckSeverity.WARN,
        description=run.reason,
        metadata=metadata.present(details),
    )


def faults_result(faults: dict[str, list[str]]) -> dg.AssetCheckResult:
    """Return an error with every fault, or that there is none."""
    every = [fault for texts in faults.values() for fault in texts]
    return dg.AssetCheckResult(
        passed=not every,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(every) or "nothing is wrong",
        metadata={name: "; ".join(texts) or "yes" for name, texts in faults.items()},
    )
