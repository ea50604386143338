"""One iteration of a study as ops, to look at each of its parts."""

from typing import Any

import dagster as dg

from dagster_defs import metadata
from dagster_defs.assets.tuning import TUNING_POOL, facts_of
from dagster_defs.config import StudyConfig
from dagster_defs.failures import search_failures
from dagster_defs.locations import Places
from dagster_defs.scenarios import SCENARIOS, load_scenario, scenario_config
from dagster_defs.study_process import News, run_study_in_child
from search.commands.run import RunOptions
from search.driver.progress import Standing, TrialNews
from search.errors import AuditError
from search.report.facts import StudyFacts
from search.study.targets import variances
from search.views.news import standing_line, trial_line


class ConvergenceConfig(dg.Config):
    """When an optimization counts as converged, beside the study's own targets."""

    max_iterations: int | None = None
    """Iterations after which it is given up; those of the study's latest run when left out."""


def single_iteration_job(places: Places) -> dg.JobDefinition:
    """Return the job that adds one iteration to a scenario's study."""

    @dg.op(ins={"after": dg.In(dg.Nothing)})
    def compare_outcomes_to_targets(context: dg.OpExecutionContext) -> dict[str, float]:
        """Compare what the best trial achieves with the targets.

        Returns:
            Relative variance of each target's metric; empty before the study's first trial.
        """
        with search_failures():
            facts = known_facts(places, context.partition_key)
            best = best_variances(facts) if facts else {}
        if not best:
            context.log.info("the study has no complete trial yet; its first is today's parameters")
        context.add_output_metadata(
            metadata.present(
                {
                    "targets": metadata.table(metadata.target_rows(facts)) if facts else None,
                    **{f"variance {name}": value for name, value in best.items()},
                }
            )
        )
        return best

    @dg.op(pool=TUNING_POOL)
    def adjust_parameters_based_on_variance(
        context: dg.OpExecutionContext, config: StudyConfig, variance_metrics: dict[str, float]
    ) -> dict[str, Any]:
        """Let the study's sampler propose a batch of candidates, and evaluate them.

        Returns:
            The best parameters after it; unchanged when all targets are met already.
        """
        scenario = context.partition_key
        context.log.info(f"variances before the iteration: {variance_metrics}")
        with search_failures():
            spec = load_scenario(
                places, scenario, study_file=config.study_file, overrides=config.texts()
            )
            options = RunOptions(places.results, config.is_restart, max_new_iterations=1)
            result = run_study_in_child(spec, options, lambda news: _log(context, news))
            facts = facts_of(places, scenario)
        context.add_output_metadata(
            metadata.present(
                {
                    "candidates of the iteration": metadata.table(iteration_rows(facts)),
                    "parameters": metadata.table(metadata.parameter_rows(facts)),
                    "reason": result.end.reason,
                }
            )
        )
        return {parameter.name: parameter.best for parameter in facts.parameters}

    @dg.op(ins={"adjusted": dg.In(dict)})
    def check_convergence_criteria(
        context: dg.OpExecutionContext,
        config: ConvergenceConfig,
        variance_metrics: dict[str, float],
        adjusted: dict[str, Any],
    ) -> bool:
        """Return whether the best parameters meet every target within its tolerance."""
        with search_failures():
            facts = facts_of(places, context.partition_key)
        best = facts.best_trial
        is_converged = bool(best and best.is_all_targets_met)
        last = max((iteration.iteration for iteration in facts.iterations), default=0)
        most = config.max_iterations or int(facts.document["search"]["max_iterations"])
        verdict = (
            "all targets are met"
            if is_converged
            else f"targets are missed after the last iteration ({most})"
            if last >= most
            else f"targets are missed after {last} of {most} iterations; run the job again"
        )
        context.log.info(f"{verdict}: {variance_metrics} with {adjusted}")
        context.add_output_metadata({"verdict": verdict, "iterations": last})
        return is_converged

    # In one process: one op follows the other, and a process for each would load the definitions
    # anew, which takes longer than what most of the ops do.
    @dg.job(
        partitions_def=SCENARIOS,
        config=scenario_config(places),
        executor_def=dg.in_process_executor,
    )
    def single_iteration_tuning_job() -> None:
        """One iteration of a scenario's study: compare, adjust, compare again, check."""
        adjusted = adjust_parameters_based_on_variance(compare_outcomes_to_targets())
        after = compare_outcomes_to_targets.alias("compare_adjusted_outcomes")(after=adjusted)
        check_convergence_criteria(variance_metrics=after, adjusted=adjusted)

    return single_iteration_tuning_job


def known_facts(places: Places, scenario: str) -> StudyFacts | None:
    """Return what a scenario's study found; None before its first run."""
    try:
        return facts_of(places, scenario)
    except AuditError:
        return None


def best_variances(facts: StudyFacts) -> dict[str, float]:
    """Return the variance of each target at the best trial."""
    known = [target for target in facts.targets if target.is_resolved and target.best is not None]
    metrics = {target.goal.metric: target.best for target in known if target.best is not None}
    return variances([target.goal for target in known], metrics)


def iteration_rows(facts: StudyFacts) -> list[metadata.Row]:
    """Return the trials of the latest iteration, with their variances."""
    last = max((trial.iteration or 0 for trial in facts.trials), default=0)
    rows: list[metadata.Row] = []
    for trial in facts.trials:
        if trial.iteration != last:
            continue
        measured = facts.metrics.get(trial.trial, {})
        rows.append(
            {"trial": trial.trial, "state": trial.state}
            | {name: str(value) for name, value in dict(trial.candidate or {}).items()}
            | {f"variance {name}": metric.variance for name, metric in measured.items()}
        )
    return rows


def _log(context: dg.OpExecutionContext, news: News) -> None:
    if isinstance(news, TrialNews):
        context.log.info(trial_line(news))
    elif isinstance(news, Standing):
        context.log.debug(standing_line(news))
    else:
        context.log.info(news)
