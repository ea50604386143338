"""From the storage's trials to the trail's records: pure functions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from search.audit.records import (
    BestParameter,
    IterationRecord,
    ParameterSetRecord,
    RunRecord,
    TrialEvent,
    TrialMetric,
    TrialParameter,
    TrialRecord,
)
from search.audit.schema import AuditTables
from search.errors import SpecError
from search.storage import attributes
from search.study import StudySpec, expand_metrics
from search.study.targets import Goal, goals_of, is_met, rank_key, resolve_goals, variance

RUN_ID = "run_id"
"""Attribute of a trial that names the run which dispatched it."""

STATES = {
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.COMPLETE: "complete",
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "failed",
}
_COLUMNS_OF_THEIR_OWN = {
    RUN_ID,
    attributes.CANDIDATE,
    attributes.ITERATION,
    attributes.LINEAGE,
    attributes.REPLICATIONS,
    attributes.DISPATCHED_AT,
    attributes.OUTCOME,
    attributes.ALL_TARGETS_MET,
    attributes.LOSS,
}

_PREFIXES = (attributes.METRIC_PREFIX, attributes.VARIANCE_PREFIX)


def assemble(
    trials: Sequence[FrozenTrial],
    runs: Sequence[RunRecord],
    *,
    spec: StudySpec,
    study: str | None = None,
    events: Iterable[TrialEvent] = (),
    parameter_sets: Sequence[ParameterSetRecord] = (),
) -> AuditTables:
    """Return the whole trail of one study, with targets and units from its study file.

    Args:
        trials: Of the study, from the storage, in order of their numbers.
        runs: Every run of the study, the present one last.
        spec: The study.
        study: Its name in the storage; the last run's when None.
        events: Of the event log.
        parameter_sets: Applied sets.
    """
    return assemble_records(
        trials,
        runs,
        study=study or (runs[-1].study if runs else spec.study),
        goals=resolved_goals(goals_of(spec), trials),
        parameter_units={name: parameter.unit for name, parameter in spec.parameters.items()},
        metric_units={metric.name: metric.unit for metric in expand_metrics(spec)},
        events=events,
        parameter_sets=parameter_sets,
    )


def assemble_records(
    trials: Sequence[FrozenTrial],
    runs: Sequence[RunRecord],
    *,
    study: str,
    goals: Sequence[Goal] = (),
    parameter_units: Mapping[str, str | None] | None = None,
    metric_units: Mapping[str, str | None] | None = None,
    events: Iterable[TrialEvent] = (),
    parameter_sets: Sequence[ParameterSetRecord] = (),
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
    """
    units = dict(parameter_units or {})
    by_metric = {goal.metric: goal for goal in goals}
    records = [trial_record(trial, study=study) for trial in trials]
    parameters = [
        record for trial in trials for record in _parameters(trial, study=study, units=units)
    ]
    metrics = [
        record
        for trial in trials
        for record in _metrics(trial, by_metric, study=study, units=metric_units or {})
    ]
    best = best_trial(trials, goals)
    return AuditTables(
        runs=tuple(runs),
        trials=tuple(records),
        parameters=tuple(parameters),
        metrics=tuple(metrics),
        events=tuple(events),
        best_parameters=tuple(_best_parameters(best, study=study, units=units)),
        iterations=tuple(_iterations(trials, records, goals)),
        parameter_sets=tuple(parameter_sets),
    )


def resolved_goals(goals: Sequence[Goal], trials: Iterable[FrozenTrial]) -> tuple[Goal, ...]:
    """Return the goals, resolved against the current parameters once these are evaluated."""
    for trial in trials:
        is_current = trial.user_attrs.get(attributes.ITERATION) == 0
        if is_current and trial.state == TrialState.COMPLETE:
            # A trail is written also of a study whose relative goals make no sense.
            with contextlib.suppress(SpecError, ValueError):
                return resolve_goals(goals, metrics_of(trial))
    return tuple(goals)


def trial_record(trial: FrozenTrial, *, study: str) -> TrialRecord:
    """Return the record of one trial, running or ended."""
    stored = trial.user_attrs
    outcome = stored.get(attributes.OUTCOME) or {}
    failure = outcome.get("failure") or {}
    lineage = stored.get(attributes.LINEAGE)
    values = trial.values if trial.state == TrialState.COMPLETE else None
    return TrialRecord(
        study=study,
        trial=trial.number,
        run_id=stored.get(RUN_ID),
        iteration=stored.get(attributes.ITERATION),
        state=STATES[trial.state],
        lineage=lineage,
        parent_trial=attributes.parent_of(lineage) if lineage else None,
        dispatched_at=stored.get(attributes.DISPATCHED_AT) or _local(trial.datetime_start),
        started_at=outcome.get("started_at"),
        finished_at=outcome.get("finished_at") or _local(trial.datetime_complete),
        candidate=candidate(trial),
        replications=stored.get(attributes.REPLICATIONS),
        loss=_loss(trial),
        objective_values=values if values and len(values) > 1 else None,
        is_all_targets_met=stored.get(attributes.ALL_TARGETS_MET),
        attempts=outcome.get("attempts"),
        seconds=outcome.get("seconds"),
        stage_seconds=outcome.get("stage_seconds"),
        peak_memory_bytes=outcome.get("peak_memory_bytes"),
        worker=outcome.get("worker"),
        engine=outcome.get("engine"),
        isolation=outcome.get("isolation"),
        error_stage=failure.get("stage"),
        error_step=failure.get("step"),
        error_model=failure.get("model"),
        error_message=failure.get("message"),
        evaluations=outcome.get("evaluations"),
        details={name: value for name, value in stored.items() if _is_detail(name)},
    )


def candidate(trial: FrozenTrial) -> dict[str, Any]:
    """Return a trial's parameter values as they were dispatched."""
    return dict(trial.user_attrs.get(attributes.CANDIDATE, trial.params))


def metrics_of(trial: FrozenTrial) -> dict[str, float]:
    """Return a trial's metrics; empty when it failed or runs."""
    return _prefixed(trial, attributes.METRIC_PREFIX)


def best_trial(trials: Iterable[FrozenTrial], goals: Sequence[Goal] = ()) -> FrozenTrial | None:
    """Return the complete trial that ranks first, the earliest among equals; None if none is.

    With resolved goals that every complete trial has metrics for, ``rank_key`` decides,
    else the objective values in their order, smaller first.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    wanted = {goal.metric for goal in goals}
    has_ranks = bool(goals) and all(map(_is_resolved, goals))
    if has_ranks and all(wanted <= set(metrics_of(trial)) for trial in complete):
        return min(complete, key=lambda trial: rank_key(goals, metrics_of(trial)), default=None)
    return min(complete, key=lambda trial: tuple(trial.values), default=None)


def _loss(trial: FrozenTrial) -> float | None:
    """Return a complete trial's loss; with several objectives it is kept apart from them."""
    if trial.state != TrialState.COMPLETE:
        return None
    loss = trial.user_attrs.get(attributes.LOSS)
    return float(trial.values[0] if loss is None else loss)


def _parameters(
    trial: FrozenTrial, *, study: str, units: Mapping[str, str | None]
) -> Iterable[TrialParameter]:
    for name, value in candidate(trial).items():
        distribution = trial.distributions.get(name)
        choices = None
        if isinstance(distribution, CategoricalDistribution):
            choices = list(distribution.choices)
        yield TrialParameter(
            study=study,
            trial=trial.number,
            parameter=name,
            **_value_columns(value),
            unit=units.get(name),
            low=getattr(distribution, "low", None),
            high=getattr(distribution, "high", None),
            step=getattr(distribution, "step", None),
            choices=choices,
        )


def _metrics(
    trial: FrozenTrial,
    goals: Mapping[str, Goal],
    *,
    study: str,
    units: Mapping[str, str | None],
) -> Iterable[TrialMetric]:
    stored = _prefixed(trial, attributes.VARIANCE_PREFIX)
    for name, value in metrics_of(trial).items():
        goal = goals.get(name)
        if goal is None:
            yield TrialMetric(
                study=study,
                trial=trial.number,
                metric=name,
                value=value,
                unit=units.get(name),
                variance=stored.get(name),
            )
            continue
        is_known = _is_resolved(goal)
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
            variance=stored.get(name, computed),
            is_met=is_met(goal, value) if is_known and not goal.is_objective else None,
        )


def _best_parameters(
    best: FrozenTrial | None, *, study: str, units: Mapping[str, str | None]
) -> Iterable[BestParameter]:
    if best is None:
        return
    for name, value in candidate(best).items():
        yield BestParameter(
            study=study,
            run_id=best.user_attrs.get(RUN_ID),
            trial=best.number,
            parameter=name,
            **_value_columns(value),
            unit=units.get(name),
            loss=_loss(best),
            is_all_targets_met=best.user_attrs.get(attributes.ALL_TARGETS_MET),
        )


def _iterations(
    trials: Sequence[FrozenTrial], records: Sequence[TrialRecord], goals: Sequence[Goal]
) -> Iterable[IterationRecord]:
    batches: dict[int, list[tuple[FrozenTrial, TrialRecord]]] = {}
    for trial, record in zip(trials, records, strict=True):
        if record.iteration is not None:
            batches.setdefault(record.iteration, []).append((trial, record))
    so_far: FrozenTrial | None = None
    for iteration, batch in sorted(batches.items()):
        best = best_trial([trial for trial, _ in batch], goals)
        so_far = best_trial([trial for trial in (so_far, best) if trial], goals)
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
            best_loss=_loss(best) if best else None,
            best_parameters=candidate(best) if best else None,
            best_variances=_prefixed(best, attributes.VARIANCE_PREFIX) if best else None,
            is_all_targets_met=(best.user_attrs.get(attributes.ALL_TARGETS_MET) if best else None),
            best_trial_so_far=so_far.number if so_far else None,
            best_loss_so_far=_loss(so_far) if so_far else None,
        )


def _value_columns(value: Any) -> dict[str, Any]:
    """Return a parameter's value as number, text and type."""
    is_number = isinstance(value, (bool, int, float))
    text = value if isinstance(value, str) else repr(value).lower()
    return {
        "value": float(value) if is_number else None,
        "value_text": text,
        "value_type": type(value).__name__,
    }


def _is_detail(name: str) -> bool:
    return name not in _COLUMNS_OF_THEIR_OWN and not name.startswith(_PREFIXES)


def _is_resolved(goal: Goal) -> bool:
    return goal.kind != "equal" or goal.value is not None


def _prefixed(trial: FrozenTrial, prefix: str) -> dict[str, float]:
    return {
        name.removeprefix(prefix): value
        for name, value in trial.user_attrs.items()
        if name.startswith(prefix)
    }


def _local(moment: datetime | None) -> datetime | None:
    """Return Optuna's naive local time with its zone."""
    return None if moment is None else moment.astimezone()
