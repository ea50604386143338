"""Whether a study's result can be relied upon. Each function returns what is wrong, in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from search.audit.assemble import best_trial, resolved_goals
from search.audit.reader import AuditReader
from search.commands.evaluate import verify_trial
from search.driver.progress import SilentProgress
from search.errors import SpecError
from search.report.facts import StudyFacts
from search.storage.existing import existing_storage
from search.storage.study_store import StudyStore
from search.storage.trials import read_trials
from search.study import StudySpec
from search.study.layout import Layout
from search.study.space import validate_candidate
from search.study.targets import goals_of


def out_of_bounds(facts: StudyFacts, spec: StudySpec) -> list[str]:
    """Return what the best parameters violate: names, ranges, steps, choices, constraints."""
    if facts.best is None:
        return ["no trial is complete, so there are no parameters to recommend"]
    try:
        validate_candidate(spec, {lever.name: lever.best for lever in facts.levers})
    except SpecError as error:
        return [str(error)]
    return []


def not_reproduced(facts: StudyFacts, spec: StudySpec, results: Path) -> list[str]:
    """Return in what real dbt, with its tests, differs from the winner's metrics.

    The run's own verification counts; without one, dbt evaluates the winner here.

    Raises:
        SearchError: If dbt cannot be asked.
    """
    if facts.best is None or facts.run.is_verified:
        return []
    number, verification = verify_trial(spec, None, results=results, progress=SilentProgress())
    if number != facts.best:
        return [f"the storage's best trial is {number}, the trail's is {facts.best}"]
    return [] if verification.is_verified else [verification.text()]


def audit_gaps(facts: StudyFacts, spec: StudySpec, results: Path) -> list[str]:
    """Return in what the published trail differs from the storage, which is the truth.

    Raises:
        StorageError: If the storage cannot be read.
    """
    return list(_audit_gaps(facts, spec, results))


def _audit_gaps(facts: StudyFacts, spec: StudySpec, results: Path) -> Iterator[str]:
    with existing_storage(Layout(results, spec.study).storage_url(spec)) as storage:
        if storage is None:
            yield "the storage of the study is gone"
            return
        stored = StudyStore.load(storage, facts.study).trials()
    trail = {trial.trial: trial for trial in facts.trials}
    if missing := [trial.number for trial in stored if trial.number not in trail]:
        yield f"trials {missing} of the storage are not in the trail"
    for trial in read_trials(stored):
        published = trail.get(trial.number)
        if published is not None and published.candidate != trial.candidate:
            yield f"the trail has other parameters for trial {trial.number}"
    unmeasured = [one.trial for one in facts.complete() if not facts.metrics.get(one.trial)]
    if unmeasured:
        yield f"complete trials {unmeasured} have no metrics in the trail"
    best = best_trial(stored, resolved_goals(goals_of(spec), stored))
    if best is not None and best.number != facts.best:
        yield f"the storage's best trial is {best.number}, the trail's is {facts.best}"
    events = AuditReader(facts.folder, study=facts.study).events()
    told = {event.trial for event in events if event.kind == "trial_finished"}
    if untold := [one.trial for one in facts.complete() if one.trial not in told]:
        yield f"complete trials {untold} have no event"
