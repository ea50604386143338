"""``scenario-search verify``: a stored trial through real dbt with its tests; it is remembered."""

from __future__ import annotations

from pathlib import Path

from search.audit.republish import republish
from search.commands.repeat import changed_inputs, spec_of_trials
from search.commands.workbench import Workbench, open_workbench
from search.driver.progress import Progress
from search.errors import LeaseError, UnknownTrialError
from search.parameter_sets.candidates import stored_study
from search.parameter_sets.journal import Journal
from search.report.html import write_report
from search.scenario.compiled.program_evaluator import DivergenceFinder
from search.scenario.outcome import EvaluationRequest
from search.scenario.verdict import VERIFIED, Verification
from search.scenario.verification import verify
from search.storage.attributes import RUNS
from search.storage.existing import existing_storage
from search.storage.lock import StudyLock
from search.storage.study_store import StudyStore
from search.storage.trials import StoredTrial
from search.study import StudySpec
from search.study.layout import REPORT_NAME
from search.study.space import current_candidate


def verify_trial(
    spec: StudySpec, number: int | None, *, results: Path, progress: Progress
) -> tuple[int, Verification]:
    """Evaluate a stored trial through real dbt with its tests, and compare the metrics.

    What comes out is kept with the study: ``status``, the report, ``apply`` and the next ``run``
    know of it until the scenario changes or the trial is verified again.

    Args:
        spec: The study.
        number: The trial; the best one when None.
        results: Folder of all results.
        progress: Takes news for a person.

    Raises:
        UnknownTrialError: If there is no such complete trial.
    """
    stored = stored_study(spec, results)
    if number is None:
        best = stored.best(stored.as_ran(spec))
        number = best.number if best is not None else 0
    trial = StoredTrial(stored.trial(number, option="--trial"))
    values, evaluations = trial.candidate, trial.evaluations
    if not evaluations:
        raise UnknownTrialError(f"--trial must be a complete trial, but trial {number} is not")
    spec = spec_of_trials(spec, stored, (), progress, results=results)
    with open_workbench(spec, results, progress) as bench:
        library = bench.library()
        verification: Verification = bench.call(
            verify,
            bench.reference,
            [EvaluationRequest(number, values, seed) for seed, _ in evaluations],
            [metrics for _, metrics in evaluations],
            current_candidate(spec),
            DivergenceFinder(library) if library.find(values) is not None else None,
        )
        changed = changed_inputs(spec, stored, bench.prepared.plan.fingerprints)
        if not verification.is_equal and changed:
            progress.note(f"changed since the trial ran: {'; '.join(changed)}")
        assert stored.name is not None
        _remember(bench, stored.name, number, verification)
    return number, verification


def _remember(bench: Workbench, study: str, number: int, verification: Verification) -> None:
    """Keep what was found with the study; not while a driver writes there."""
    layout, url = bench.layout, bench.layout.storage_url(bench.spec)
    document = verification.document()
    try:
        with existing_storage(url) as storage, StudyLock(layout.lock):
            assert storage is not None  # the trial came from there
            store = StudyStore.load(storage, study)
            stored = store.attributes()
            known = stored.get(VERIFIED, {}) | {str(number): document}
            runs = dict(stored.get(RUNS, {}))
            ended = [
                run_id
                for run_id, run in sorted(
                    runs.items(), key=lambda item: str(item[1].get("started_at"))
                )
                if run.get("best_trial") == number
            ]
            for run_id in ended[-1:]:
                runs[run_id] = runs[run_id] | {
                    "verification": document,
                    "is_verified": verification.is_verified,
                    "is_metrics_verified": verification.is_equal,
                }
            store.set_attributes({VERIFIED: known, RUNS: runs})
    except LeaseError:
        bench.progress.note("a driver runs the study now, so this is not kept with it")
        return
    event = {"trial": number, "verification": document}
    republish(
        bench.spec,
        layout.folder,
        url,
        lock=layout.lock,
        parameter_sets=Journal.of(bench.spec).records(),
        event=("trial_verified", event),
    )
    if (layout.folder / REPORT_NAME).exists():
        write_report(layout.folder, study=study)
