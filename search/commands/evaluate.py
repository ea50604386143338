"""One evaluation outside a search: what would happen if, and does a trial repeat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from search.commands.repeat import changed_inputs, spec_of_trials
from search.commands.workbench import open_workbench, requests_of
from search.driver.engine import cannot_be_compiled, source_of, unseeded_draws
from search.driver.progress import Progress
from search.driver.results import EngineComparison, Evaluation
from search.errors import OUTSIDE, RecordingError, ScenarioError
from search.parameter_sets.candidates import stored_study
from search.scenario.compiled.library import Library
from search.scenario.compiled.program_evaluator import DivergenceFinder, ProgramEvaluatorFactory
from search.scenario.evaluator import DbtEvaluatorFactory, Evaluator
from search.scenario.outcome import EvaluationRequest, Outcome, failure_text
from search.scenario.verification import differing
from search.storage.trials import StoredTrial
from search.study import StudySpec, expand_metrics
from search.study.replication import over_replications
from search.study.space import assigned, current_candidate, typed_whole, validate_candidate
from search.system.child import Report

EngineChoice = Literal["auto", "compiled", "dbt", "both"]


def evaluate_once(
    spec: StudySpec,
    *,
    assignments: Sequence[str],
    from_trial: int | None,
    results: Path,
    progress: Progress,
    overrides: Sequence[str] = (),
    engine: EngineChoice | None = None,
) -> Evaluation:
    """Evaluate one candidate of a study.

    A trial is repeated with the study as it was when the trial ran.

    Args:
        spec: The study.
        assignments: ``name=value`` for parameters that differ from the current ones, or
            from the trial's.
        from_trial: Take the candidate of this trial.
        results: Folder of all results.
        progress: Takes news for a person.
        overrides: What the caller changed in the study file, as ``load_study`` takes it.
        engine: What evaluates; with ``both`` dbt as well, and they are compared. The study's when
            None.

    Raises:
        SpecError: If a parameter or a trial does not exist, or a value is not allowed.
        RecordingError: If the compiled engine is asked for and cannot be had.
    """
    stored = stored_study(spec, results)
    repeated = None
    if from_trial is not None:
        repeated = StoredTrial(stored.trial(from_trial, option="--from-trial"))
        spec = spec_of_trials(spec, stored, overrides, progress, results=results)
    start = current_candidate(spec) if repeated is None else repeated.candidate
    values = validate_candidate(spec, start | assigned(spec, assignments))
    for name, number in typed_whole(spec, assignments).items():
        values[name] = number
        progress.note(
            f"{name} = {number} goes to dbt as the whole number that was typed, where the search's "
            f"values are decimals: {name}={number}.0"
        )
    requests = requests_of(spec, [(from_trial or 0, values)])
    with open_workbench(spec, results, progress) as bench:
        outcomes: list[Outcome] = bench.call(
            evaluate_all, bench.reference, spec, bench.programs, requests, engine
        )
        comparison = None
        if engine == "both":
            comparison = bench.call(
                compare_with_dbt, bench.reference, spec, bench.programs, outcomes
            )
        fingerprints = bench.prepared.plan.fingerprints
        warnings = bench.warnings()
        if outcomes[0].engine == "dbt":  # the compiled engine refuses what nothing repeats
            draws = unseeded_draws(bench.reference, spec)
            for text in draws:
                progress.note(f"warning: {text}")
            warnings = (*warnings, *draws)
    failure = next(
        (replicate.failure for replicate in outcomes if replicate.failure is not None), None
    )
    if failure is not None and failure.stage == OUTSIDE:  # no values make that right
        raise ScenarioError(failure.message, stage=OUTSIDE, step=failure.step, model=failure.model)
    replications = spec.scenario.replications
    statistic = replications.statistic if replications else "mean"
    evaluated = [outcome.metrics for outcome in outcomes]
    metrics = over_replications(evaluated, statistic) if failure is None else {}
    matches, differs = None, []
    if repeated is not None and not assignments and failure is None:
        # A metric that was added since says nothing of the trial.
        known = {name: repeated.metrics.get(name, value) for name, value in metrics.items()}
        matches = metrics == known
        differs = [] if matches else changed_inputs(spec, stored, fingerprints)
    return Evaluation(
        study=spec.study,
        values=values,
        metrics=metrics,
        units={metric.name: metric.unit for metric in expand_metrics(spec)},
        goals=tuple(
            goal for goal in stored.goals(spec) if goal.change is None or goal.value is not None
        ),
        failure=failure_text(failure) if failure else None,
        from_trial=from_trial,
        matches_trial=matches,
        trial_metrics=repeated.metrics if repeated is not None else {},
        differs=tuple(differs),
        seconds=sum(outcome.seconds for outcome in outcomes),
        engine=outcomes[0].engine,
        isolation=outcomes[0].isolation,
        comparison=comparison,
        warnings=warnings,
    )


def evaluate_all(
    reference: DbtEvaluatorFactory,
    spec: StudySpec,
    programs: Path,
    requests: Sequence[EvaluationRequest],
    engine: EngineChoice | None = None,
    *,
    report: Report,
) -> list[Outcome]:
    """Evaluate requests one after the other in this process.

    With ``auto`` a compiled scenario that is in the cache is used; for a single evaluation it
    is not worth compiling one. With ``compiled`` and ``both`` it is compiled.

    Raises:
        RecordingError: If the compiled engine is asked for and cannot be had.
    """
    asked = spec.resources.engine if engine is None else engine
    option = None if engine is None else f"--engine {engine}"
    evaluator = _evaluator(reference, spec, programs, asked, option, report)
    evaluator.open()
    try:
        outcomes = []
        for number, request in enumerate(requests, start=1):
            report(f"evaluating {number}/{len(requests)}")
            outcomes.append(evaluator.evaluate(request))
        return outcomes
    finally:
        evaluator.close()


def compare_with_dbt(
    reference: DbtEvaluatorFactory,
    spec: StudySpec,
    programs: Path,
    outcomes: Sequence[Outcome],
    *,
    report: Report,
) -> EngineComparison:
    """Let dbt evaluate what the compiled engine evaluated, and say where they differ."""
    requests = [outcome.request for outcome in outcomes]
    theirs = evaluate_all(reference, spec, programs, requests, "dbt", report=report)
    deviations: list[str] = []
    for ours, dbts in zip(outcomes, theirs, strict=True):
        if (ours.failure is None) != (dbts.failure is None):
            failure = ours.failure or dbts.failure
            who = "dbt" if ours.failure is None else "the compiled engine"
            deviations.append(f"{who} alone fails: {failure_text(failure) if failure else ''}")
        elif differences := differing(dbts.metrics, ours.metrics, threads=reference.threads):
            deviations += differences
            library = Library.of(source_of(reference, spec), programs)
            where = DivergenceFinder(library)(ours.request)
            deviations += [where] if where else []
    return EngineComparison(
        sum(their.seconds for their in theirs), tuple(dict.fromkeys(deviations))
    )


def _evaluator(
    reference: DbtEvaluatorFactory,
    spec: StudySpec,
    programs: Path,
    engine: EngineChoice,
    option: str | None,
    report: Report,
) -> Evaluator:
    library = Library.of(source_of(reference, spec), programs)
    current = current_candidate(spec)
    if engine in ("compiled", "both"):
        try:
            library.find_or_compile(current, report=report)
        except RecordingError as error:
            raise cannot_be_compiled(error, option) from error
    elif engine == "dbt" or library.find(current) is None:
        return reference()
    isolation = "overlay" if spec.resources.isolation == "auto" else spec.resources.isolation
    return ProgramEvaluatorFactory(library, isolation)()
