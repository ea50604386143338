"""Facts of a report, gathered from the published trail alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.audit.records import (
    RunRecord,
    TrialMetric,
    TrialParameter,
    TrialRecord,
)
from search.errors import AuditError, SpecError
from search.report.facts import ParameterFacts, StudyFacts, Target
from search.study import StudySpec, study_from_document
from search.study.targets import Goal, goals_of
from search.study.values import Scalar


def read_facts(folder: Path, *, study: str | None = None) -> StudyFacts:
    """Return what a report shows about a study.

    Args:
        folder: The study's results folder.
        study: Name in the storage, version included; the version that ran last when None.

    Raises:
        AuditError: If nothing is published there, or nothing of that study.
    """
    from search.audit.reader import AuditReader  # with DuckDB, which `status` does not need

    everyone = AuditReader(folder).runs()
    names = sorted({run.study for run in everyone})
    if not everyone or (study is not None and study not in names):
        raise AuditError(
            f"{folder} must hold a run{f' of study {study}' if study else ''}, but has "
            f"{', '.join(names) or 'none'}; start it with `scenario-search run`"
        )
    name = study or max(everyone, key=lambda run: (run.study_version, run.started_at)).study
    reader = AuditReader(folder, study=name)
    runs = sorted((run for run in everyone if run.study == name), key=lambda run: run.started_at)
    trials = tuple(reader.trials())
    metrics: dict[int, dict[str, TrialMetric]] = {}
    for record in reader.metrics():
        metrics.setdefault(record.trial, {})[record.metric] = record
    best = next((row.trial for row in reader.best()), None)
    document = runs[-1].spec if isinstance(runs[-1].spec, dict) else {}
    spec = _in_order(_spec(document), runs)
    current = next((t for t in trials if t.iteration == 0), None)
    by_number = {trial.trial: trial for trial in trials}
    return StudyFacts(
        folder=folder,
        study=name,
        runs=tuple(runs),
        trials=trials,
        iterations=tuple(reader.iterations()),
        metrics=metrics,
        units=_units(metrics),
        parameters=_parameters(
            reader.parameters(),
            spec,
            current=_values(current),
            best=_values(by_number.get(best) if best is not None else None),
        ),
        targets=_targets(metrics, spec, current=current.trial if current else None, best=best),
        best=best,
        other_versions=_latest_runs(run for run in everyone if run.study != name),
        parameter_sets=tuple(reader.parameter_sets()),
        document=document,
        spec=spec,
        alternatives=tuple(
            dict.fromkeys(
                (alternative.name, alternative.trial) for alternative in reader.alternatives()
            )
        ),
    )


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts names as people do.

    Example:
        >>> sorted(["year_10", "year_9", "cost"], key=natural_key)
        ['cost', 'year_9', 'year_10']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in parts]


def _spec(document: Mapping[str, Any]) -> StudySpec | None:
    try:
        return study_from_document(document, file=Path("study.yml"))
    except SpecError:
        # Written by a version with other rules; what the trials carry is shown.
        return None


def _in_order(spec: StudySpec | None, runs: Sequence[RunRecord]) -> StudySpec | None:
    """Return a study with its parameters, metrics and targets in the order of its file.

    The trail sorts keys; the order stands beside it since 0.3.
    """
    last = runs[-1].appraisal if runs and isinstance(runs[-1].appraisal, dict) else {}
    order: Mapping[str, Sequence[str]] = last.get("order") or {}
    if spec is None or not order:
        return spec
    sections = {}
    for section in ("parameters", "metrics", "targets"):
        given: Mapping[str, Any] = getattr(spec, section)
        names = [name for name in order.get(section, ()) if name in given]
        sections[section] = {name: given[name] for name in dict.fromkeys([*names, *given])}
    return spec.model_copy(update=sections)


def _values(trial: TrialRecord | None) -> Mapping[str, Scalar]:
    return trial.candidate if trial is not None and isinstance(trial.candidate, dict) else {}


def _units(metrics: Mapping[int, Mapping[str, TrialMetric]]) -> dict[str, str | None]:
    units: dict[str, str | None] = {}
    for records in metrics.values():
        for name, record in records.items():
            units[name] = units.get(name) or record.unit
    names = sorted(units, key=natural_key)
    return {name: units[name] for name in names}


def _parameters(
    records: Sequence[TrialParameter],
    spec: StudySpec | None,
    *,
    current: Mapping[str, Scalar],
    best: Mapping[str, Scalar],
) -> tuple[ParameterFacts, ...]:
    if spec is not None:
        return tuple(
            ParameterFacts(
                name=name,
                unit=parameter.unit,
                low=parameter.low,
                high=parameter.high,
                is_log=parameter.log,
                choices=tuple(parameter.choices) if parameter.choices is not None else None,
                current=parameter.current,
                best=best.get(name),
                description=parameter.description,
                binds=tuple(bind.place for bind in parameter.bind),
                step=None if parameter.grid_step is None else float(parameter.grid_step),
            )
            for name, parameter in spec.parameters.items()
        )
    by_name: dict[str, TrialParameter] = {}
    for record in records:
        by_name.setdefault(record.parameter, record)
    return tuple(
        ParameterFacts(
            name=name,
            unit=parameter.unit,
            low=parameter.low,
            high=parameter.high,
            is_log=False,
            choices=tuple(parameter.choices) if parameter.choices else None,
            current=current.get(name),
            best=best.get(name),
        )
        for name, parameter in sorted(by_name.items(), key=lambda item: natural_key(item[0]))
    )


def _targets(
    metrics: Mapping[int, Mapping[str, TrialMetric]],
    spec: StudySpec | None,
    *,
    current: int | None,
    best: int | None,
) -> tuple[Target, ...]:
    """Return the targets as the trials carry them, resolved; without trials as the study asks."""
    goals = {goal.metric: goal for goal in (goals_of(spec) if spec is not None else ())}
    order = {name: place for place, name in enumerate(goals)}
    source = metrics.get(best) if best is not None else next(iter(metrics.values()), None)
    for record in (source or {}).values():
        if record.target_kind is not None:
            goals[record.metric] = _goal(record)
    return tuple(
        Target(
            goal=goal,
            current=_value(metrics, current, name),
            best=_value(metrics, best, name),
        )
        # What matters most comes first, then the file's order, which a trail alone does not keep.
        for name, goal in sorted(
            goals.items(),
            key=lambda item: (
                -item[1].weight,
                order.get(item[0], len(order)),
                natural_key(item[0]),
            ),
        )
    )


def _value(
    metrics: Mapping[int, Mapping[str, TrialMetric]], trial: int | None, name: str
) -> float | None:
    record = metrics.get(trial, {}).get(name) if trial is not None else None
    return record.value if record else None


def _goal(record: TrialMetric) -> Goal:
    return Goal(
        metric=record.metric,
        kind=record.target_kind,  # type: ignore[arg-type]  # text that goals_of once wrote
        value=record.target,
        low=record.target_low,
        high=record.target_high,
        tolerance=record.tolerance or 0.0,
        is_relative_tolerance=record.is_relative_tolerance is not False,
        weight=record.weight or 1.0,
        priority=record.priority or "medium",
        unit=record.unit,
    )


def _latest_runs(runs: Any) -> tuple[RunRecord, ...]:
    latest: dict[str, RunRecord] = {}
    for run in sorted(runs, key=lambda run: run.started_at):
        latest[run.study] = run
    return tuple(sorted(latest.values(), key=lambda run: run.study_version))
