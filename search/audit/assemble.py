"""From the storage's trials to the trail's records: pure functions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from search.audit.plans import frontier_plans, plan_alternatives, plan_futures
from search.audit.records import (
    BestParameter,
    IterationRecord,
    ParameterSetRecord,
    PlanAlternative,
    RunRecord,
    TrialEvent,
    TrialMetric,
    TrialParameter,
    TrialRecord,
    value_columns,
)
from search.audit.schema import AuditTables
from search.errors import SpecError, scenario_code
from search.storage.trials import StoredTrial, Trial, read_trials
from search.study import StudySpec, expand_metrics
from search.study.odds import Odds, judged
from search.study.preference import Preference
from search.study.ranking import rank_key
from search.study.targets import (
    Goal,
    all_met,
    goals_of,
    is_met,
    is_resolved,
    variance,
)

_OF_THE_OUTCOME = (
    "attempts",
    "seconds",
    "stage_seconds",
    "peak_memory_bytes",
    "worker",
    "engine",
    "isolation",
    "evaluations",
)
"""Columns of a trial that the document of its outcome has under the same name."""


def assemble(
    trials: Sequence[Trial],
    runs: Sequence[RunRecord],
    *,
    spec: StudySpec,
    study: str | None = None,
    events: Iterable[TrialEvent] = (),
    parameter_sets: Sequence[ParameterSetRecord] = (),
    preference: Preference | None = None,
    frontiers: Mapping[str, Mapping[str, Any]] | None = None,
) -> AuditTables:
    """Return the whole trail of one study, with targets and units from its study file.

    Args:
        trials: Of the study, from the storage, in order of their numbers.
        runs: Every run of the study, the present one last.
        spec: The study.
        study: Its name in the storage; the last run's when None.
        events: Of the event log.
        parameter_sets: Applied sets.
        preference: What ranks trials that meet every target; the study file's when left out.
        frontiers: Points of each frontier that was asked for, as the study's storage has them.
    """
    units = {metric.name: metric.unit for metric in expand_metrics(spec)}
    units |= {name: parameter.unit for name, parameter in spec.parameters.items()}
    name = study or (runs[-1].study if runs else spec.study)
    tables = assemble_records(
        trials,
        runs,
        study=study or (runs[-1].study if runs else spec.study),
        goals=resolved_goals(goals_of(spec), trials, preference),
        parameter_units={name: parameter.unit for name, parameter in spec.parameters.items()},
        metric_units={metric.name: metric.unit for metric in expand_metrics(spec)},
        events=events,
        parameter_sets=parameter_sets,
        preference=preference or Preference.of(spec),
    )
    plans = frontier_plans(frontiers or {}, study=name, units=units)
    return replace(tables, frontiers=tuple(plans))


def assemble_records(  # noqa: PLR0913 - everything that a trail is made of
    trials: Sequence[Trial],
    runs: Sequence[RunRecord],
    *,
    study: str,
    goals: Sequence[Goal] = (),
    parameter_units: Mapping[str, str | None] | None = None,
    metric_units: Mapping[str, str | None] | None = None,
    events: Iterable[TrialEvent] = (),
    parameter_sets: Sequence[ParameterSetRecord] = (),
    preference: Preference | None = None,
) -> AuditTables:
    """Return the whole trail of one study from plain data.

    Args:
        trials: Of the study, from the storage, in order of their numbers.
        runs: Every run of the study, the present one last.
        study: Its name in the storage.
        goals: What its metrics should be; relative ones resolved where that is known.
        parameter_units: Unit of each parameter.
        metric_units: Unit of each metric; a goal's own unit goes first.
        events: Of the event log.
        parameter_sets: Applied sets.
        preference: What ranks trials that meet every target; nothing when left out.
    """
    units = dict(parameter_units or {})
    read = read_trials(trials)
    records = [trial_record(trial, study=study) for trial in read]
    parameters = [
        record for trial in read for record in _parameters(trial, study=study, units=units)
    ]
    metrics = [
        record
        for trial in read
        for record in _metrics(
            trial, _judging(trial, goals, preference), study=study, units=metric_units or {}
        )
    ]
    best = best_stored(read, goals, preference)
    return AuditTables(
        runs=tuple(runs),
        trials=tuple(records),
        parameters=tuple(parameters),
        metrics=tuple(metrics),
        events=tuple(events),
        best_parameters=tuple(_best_parameters(best, study=study, units=units)),
        iterations=tuple(_iterations(read, records, goals, preference)),
        parameter_sets=tuple(parameter_sets),
        futures=tuple(plan_futures(best, runs, study=study, units=metric_units or {})),
        alternatives=tuple(_others(read, goals, preference, study=study, units=units)),
    )


def resolved_goals(
    goals: Sequence[Goal], trials: Iterable[Trial], preference: Preference | None = None
) -> tuple[Goal, ...]:
    """Return the goals, resolved against the current parameters once these are evaluated.

    Args:
        goals: From ``goals_of``.
        trials: Of the study.
        preference: Knows what chance does to chance targets.
    """
    odds = preference.odds if preference else Odds()
    for trial in read_trials(trials):
        if trial.is_current and trial.is_complete:
            # A trail is written also of a study whose relative goals make no sense.
            with contextlib.suppress(SpecError, ValueError):
                evaluations = [metrics for _, metrics in trial.evaluations]
                return judged(goals, odds, trial.metrics, evaluations)
    return tuple(goals)


def trial_record(trial: StoredTrial, *, study: str) -> TrialRecord:
    """Return the record of one trial, running or ended."""
    outcome, failure, values = trial.outcome, trial.failure, trial.objective_values
    return TrialRecord.model_validate(
        {
            "study": study,
            "trial": trial.number,
            "run_id": trial.run_id,
            "iteration": trial.iteration,
            "state": trial.state,
            "lineage": trial.lineage,
            "parent_trial": trial.parent,
            "dispatched_at": trial.dispatched_at,
            "started_at": outcome.get("started_at"),
            "finished_at": trial.finished_at,
            "candidate": trial.candidate,
            "replications": trial.replications,
            "loss": trial.loss,
            "objective_values": list(values) if len(values) > 1 else None,
            "is_all_targets_met": trial.is_all_targets_met,
            **{name: outcome.get(name) for name in _OF_THE_OUTCOME},
            "error_stage": failure.stage,
            "error_step": failure.step,
            "error_model": failure.model,
            "error_message": failure.message,
            "error_code": scenario_code(failure.stage) if failure.stage else None,
            "details": trial.details,
        }
    )


def best_trial(
    trials: Iterable[Trial],
    goals: Sequence[Goal] = (),
    preference: Preference | None = None,
) -> Trial | None:
    """Return the complete trial that ranks first, the earliest among equals; None if none is.

    With resolved goals that every complete trial has metrics for, these and the preference
    decide, else the objective values in their order, smaller first.
    """
    best = best_stored(read_trials(trials), goals, preference)
    return None if best is None else best.frozen


def best_stored(
    trials: Iterable[StoredTrial],
    goals: Sequence[Goal] = (),
    preference: Preference | None = None,
) -> StoredTrial | None:
    """Return what ``best_trial`` returns, for trials that were read already."""
    complete = [trial for trial in trials if trial.is_complete]
    if not _can_rank(complete, goals):
        return min(complete, key=lambda trial: trial.objective_values, default=None)
    return min(complete, key=lambda trial: _rank(trial, goals, preference), default=None)


def meeting(
    trials: Iterable[StoredTrial], goals: Sequence[Goal], preference: Preference
) -> list[StoredTrial]:
    """Return the trials that meet every target, the best first; empty while that is not known."""
    complete = [trial for trial in trials if trial.is_complete]
    if not _can_rank(complete, goals):
        return []
    met = [trial for trial in complete if _meets(trial, goals, preference)]
    return sorted(met, key=lambda trial: _rank(trial, goals, preference))


def _can_rank(complete: Sequence[StoredTrial], goals: Sequence[Goal]) -> bool:
    wanted = {goal.metric for goal in goals}
    return (
        bool(goals)
        and all(map(is_resolved, goals))
        and all(wanted <= set(trial.metrics) for trial in complete)
    )


def _judging(
    trial: StoredTrial, goals: Sequence[Goal], preference: Preference | None
) -> dict[str, Goal]:
    """Return the goals with the margins that a trial is judged by, by metric."""
    if preference is not None and preference.fits(trial.candidate):
        goals = preference.judged(goals, trial.candidate)
    return {goal.metric: goal for goal in goals}


def _meets(trial: StoredTrial, goals: Sequence[Goal], preference: Preference) -> bool:
    if not preference.fits(trial.candidate):
        return all_met(goals, trial.metrics)
    return preference.is_met(goals, trial.candidate, trial.metrics)


def _rank(
    trial: StoredTrial, goals: Sequence[Goal], preference: Preference | None
) -> tuple[float, ...]:
    if preference is None or not preference.fits(trial.candidate):
        return rank_key(goals, trial.metrics)
    return preference.rank(goals, trial.candidate, trial.metrics)


def _others(
    trials: Sequence[StoredTrial],
    goals: Sequence[Goal],
    preference: Preference | None,
    *,
    study: str,
    units: Mapping[str, str | None],
) -> Iterable[PlanAlternative]:
    if preference is None or not all(preference.fits(trial.candidate) for trial in trials):
        return ()
    met = meeting(trials, goals, preference)
    return plan_alternatives(met, preference.spec, study=study, units=units)


def _parameters(
    trial: StoredTrial, *, study: str, units: Mapping[str, str | None]
) -> Iterable[TrialParameter]:
    for name, value in trial.candidate.items():
        allowed = trial.range_of(name)
        yield TrialParameter(
            study=study,
            trial=trial.number,
            parameter=name,
            **value_columns(value),
            unit=units.get(name),
            low=allowed.low,
            high=allowed.high,
            step=allowed.step,
            choices=allowed.choices,
        )


def _metrics(
    trial: StoredTrial,
    goals: Mapping[str, Goal],
    *,
    study: str,
    units: Mapping[str, str | None],
) -> Iterable[TrialMetric]:
    for name, value in trial.metrics.items():
        goal = goals.get(name)
        if goal is None:
            yield TrialMetric(
                study=study,
                trial=trial.number,
                metric=name,
                value=value,
                unit=units.get(name),
                variance=trial.variances.get(name),
            )
            continue
        is_known = is_resolved(goal)
        computed = variance(goal, value) if is_known else None
        yield TrialMetric(
            study=study,
            trial=trial.number,
            metric=name,
            value=value,
            unit=goal.unit or units.get(name),
            target_kind=goal.kind,
            target=goal.value,
            target_low=goal.low,
            target_high=goal.high,
            tolerance=goal.tolerance,
            is_relative_tolerance=goal.is_relative_tolerance,
            priority=goal.priority,
            weight=goal.weight,
            variance=trial.variances.get(name, computed),
            is_met=is_met(goal, value) if is_known and not goal.is_objective else None,
        )


def _best_parameters(
    best: StoredTrial | None, *, study: str, units: Mapping[str, str | None]
) -> Iterable[BestParameter]:
    if best is None:
        return
    for name, value in best.candidate.items():
        yield BestParameter(
            study=study,
            run_id=best.run_id,
            trial=best.number,
            parameter=name,
            **value_columns(value),
            unit=units.get(name),
            loss=best.loss,
            is_all_targets_met=best.is_all_targets_met,
        )


def _iterations(
    trials: Sequence[StoredTrial],
    records: Sequence[TrialRecord],
    goals: Sequence[Goal],
    preference: Preference | None,
) -> Iterable[IterationRecord]:
    batches: dict[int, list[tuple[StoredTrial, TrialRecord]]] = {}
    for trial, record in zip(trials, records, strict=True):
        if record.iteration is not None:
            batches.setdefault(record.iteration, []).append((trial, record))
    so_far: StoredTrial | None = None
    for iteration, batch in sorted(batches.items()):
        best = best_stored([trial for trial, _ in batch], goals, preference)
        so_far = best_stored([trial for trial in (so_far, best) if trial], goals, preference)
        rows = [record for _, record in batch]
        starts = [record.dispatched_at for record in rows if record.dispatched_at]
        ends = [record.finished_at for record in rows if record.finished_at]
        yield IterationRecord(
            study=rows[0].study,
            iteration=iteration,
            started_at=min(starts, default=None),
            # A result that was known before ended before it was asked for.
            finished_at=max([*ends, *starts]) if len(ends) == len(batch) else None,
            trials=len(batch),
            complete_trials=sum(record.state == "complete" for record in rows),
            failed_trials=sum(record.state == "failed" for record in rows),
            best_trial=best.number if best else None,
            best_loss=best.loss if best else None,
            best_parameters=best.candidate if best else None,
            best_variances=best.variances if best else None,
            is_all_targets_met=(best.is_all_targets_met if best else None),
            best_trial_so_far=so_far.number if so_far else None,
            best_loss_so_far=so_far.loss if so_far else None,
        )
