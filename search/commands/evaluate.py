"""One evaluation outside a search: what would happen if, and does a trial repeat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search.driver.engine import source_of
from search.driver.progress import Progress
from search.driver.results import Evaluation
from search.errors import SpecError
from search.parameter_sets.candidates import stored_study
from search.scenario.compiled.engine import DivergenceFinder, ProgramEvaluatorFactory
from search.scenario.compiled.library import Library
from search.scenario.evaluator import DbtEvaluatorFactory, Evaluator
from search.scenario.outcome import EvaluationRequest, Failure, Outcome
from search.scenario.preparation import Prepared, prepare
from search.scenario.verification import Verification, verify
from search.storage.trials import StoredTrial
from search.study import StudySpec, expand_metrics
from search.study.layout import Layout
from search.study.replication import over_replications
from search.study.space import assigned, current_candidate, validate_candidate
from search.system.child import ChildProcess, Report
from search.system.scratch import sweep_scratch
from search.workers.resources import (
    evaluator_factory,
    memory_plan,
    preparation_limits,
    scratch_parent,
)


def evaluate_once(
    spec: StudySpec,
    *,
    assignments: Sequence[str],
    from_trial: int | None,
    results: Path,
    progress: Progress,
) -> Evaluation:
    """Evaluate one candidate of a study.

    Args:
        spec: The study.
        assignments: ``name=value`` for parameters that differ from the current ones, or
            from the trial's.
        from_trial: Take the candidate of this trial.
        results: Folder of all results.
        progress: Takes news for a person.

    Raises:
        SpecError: If a parameter or a trial does not exist, or a value is not allowed.
    """
    stored = stored_study(spec, results)
    repeated = None
    if from_trial is not None:
        repeated = StoredTrial(stored.trial(from_trial, option="--from-trial"))
    start = current_candidate(spec) if repeated is None else repeated.candidate
    values = validate_candidate(spec, start | assigned(spec, assignments))
    layout = Layout(results, spec.study)
    memory = memory_plan(spec)
    sweep_scratch(scratch_parent(spec))
    replications = spec.scenario.replications
    requests = [
        EvaluationRequest(trial=from_trial or 0, values=values, replication=seed)
        for seed in (replications.values if replications else (None,))
    ]
    with ChildProcess() as child:
        prepared: Prepared = child.call(
            prepare,
            spec,
            layout.baselines.absolute(),
            preparation_limits(spec, memory),
            report=progress.note,
        )
        factory = evaluator_factory(spec, prepared.plan, memory)
        outcomes: list[Outcome] = child.call(
            evaluate_all, factory, spec, layout.programs.absolute(), requests, report=progress.note
        )
    failure = next((one.failure for one in outcomes if one.failure is not None), None)
    statistic = replications.statistic if replications else "mean"
    evaluated = [outcome.metrics for outcome in outcomes]
    metrics = over_replications(evaluated, statistic) if failure is None else {}
    matches = None
    if repeated is not None and not assignments:
        matches = metrics == repeated.metrics
    return Evaluation(
        study=spec.study,
        values=values,
        metrics=metrics,
        units={metric.name: metric.unit for metric in expand_metrics(spec)},
        goals=tuple(
            goal for goal in stored.goals(spec) if goal.change is None or goal.value is not None
        ),
        failure=_failure_text(failure) if failure else None,
        from_trial=from_trial,
        matches_trial=matches,
        seconds=sum(outcome.seconds for outcome in outcomes),
        engine=outcomes[0].engine,
        isolation=outcomes[0].isolation,
    )


def evaluate_all(
    reference: DbtEvaluatorFactory,
    spec: StudySpec,
    programs: Path,
    requests: Sequence[EvaluationRequest],
    *,
    report: Report,
) -> list[Outcome]:
    """Evaluate requests one after the other in this process.

    A compiled scenario that is in the cache is used; for a single evaluation it is not
    worth compiling one.
    """
    evaluator = _evaluator(reference, spec, programs)
    evaluator.open()
    try:
        outcomes = []
        for number, request in enumerate(requests, start=1):
            report(f"evaluating {number}/{len(requests)}")
            outcomes.append(evaluator.evaluate(request))
        return outcomes
    finally:
        evaluator.close()


def verify_trial(
    spec: StudySpec, number: int | None, *, results: Path, progress: Progress
) -> tuple[int, Verification]:
    """Evaluate a stored trial through real dbt with its tests, and compare the metrics.

    Args:
        spec: The study.
        number: The trial; the best one when None.
        results: Folder of all results.
        progress: Takes news for a person.

    Raises:
        SpecError: If there is no such complete trial.
    """
    stored = stored_study(spec, results)
    if number is None:
        best = stored.best(spec)
        number = best.number if best is not None else 0
    trial = StoredTrial(stored.trial(number, option="--trial"))
    values, evaluations = trial.candidate, trial.evaluations
    if not evaluations:
        raise SpecError(f"--trial must be a complete trial, but trial {number} is not")
    memory = memory_plan(spec)
    layout = Layout(results, spec.study)
    requests = [EvaluationRequest(number, values, seed) for seed, _ in evaluations]
    with ChildProcess() as child:
        prepared: Prepared = child.call(
            prepare,
            spec,
            layout.baselines.absolute(),
            preparation_limits(spec, memory),
            report=progress.note,
        )
        reference = evaluator_factory(spec, prepared.plan, memory)
        library = Library.of(source_of(reference, spec), layout.programs.absolute())
        verification: Verification = child.call(
            verify,
            reference,
            requests,
            [metrics for _, metrics in evaluations],
            DivergenceFinder(library) if library.find(values) is not None else None,
            report=progress.note,
        )
    return number, verification


def _evaluator(reference: DbtEvaluatorFactory, spec: StudySpec, programs: Path) -> Evaluator:
    library = Library.of(source_of(reference, spec), programs)
    if spec.resources.engine == "dbt" or library.find(current_candidate(spec)) is None:
        return reference()
    isolation = "overlay" if spec.resources.isolation == "auto" else spec.resources.isolation
    return ProgramEvaluatorFactory(library, isolation)()


def _failure_text(failure: Failure) -> str:
    where = ", ".join(part for part in (failure.step, failure.model) if part)
    return f"{where}: {failure.message}" if where else failure.message
