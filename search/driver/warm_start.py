"""What earlier studies found, as candidates of this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.driver.proposing import WarmCandidate
from search.errors import SpecError
from search.storage.existing import existing_storage
from search.storage.study_store import StudyStore
from search.storage.trials import StoredTrial, read_trials
from search.storage.versions import latest_version
from search.study import StudySpec
from search.study.fingerprint import candidate_key
from search.study.mistakes import did_you_mean
from search.study.ranking import rank_key
from search.study.space import canonical, constraints_hold, current_candidate
from search.study.targets import Goal
from search.study.values import Scalar


@dataclass(frozen=True)
class EarlierStudy:
    """A study to learn from.

    Attributes:
        name: Its name in the storage, version included.
        trials: Its complete trials.
    """

    name: str
    trials: tuple[StoredTrial, ...]


def earlier_studies(
    spec: StudySpec, urls: Callable[[str], Sequence[str]]
) -> tuple[EarlierStudy, ...]:
    """Return the studies that ``search.warm_start`` names.

    Args:
        spec: The study.
        urls: Storages in which a study of some name may be.

    Raises:
        SpecError: If a study is in none of its storages.
        StorageError: If a storage cannot be opened.
    """
    return tuple(_earlier(spec, name, urls(name)) for name in spec.search.warm_start)


def _earlier(spec: StudySpec, name: str, urls: Sequence[str]) -> EarlierStudy:
    others: list[str] = []
    for url in urls:
        with existing_storage(url) as storage:
            if storage is None:
                continue
            latest = latest_version(storage, name)
            if latest is None:
                others += [study.study_name for study in storage.get_all_studies()]
                continue
            store = StudyStore.load(storage, latest.name)
            complete = [trial for trial in read_trials(store.finished()) if trial.is_complete]
            return EarlierStudy(latest.name, tuple(complete))
    raise SpecError(
        f"must be a study in this study's storage or in its results folder, but got {name!r}, "
        f"which is in neither{did_you_mean(name, others)}",
        file=str(spec.file),
        key="search.warm_start",
    )


def warm_candidates(
    spec: StudySpec,
    goals: Sequence[Goal],
    studies: Sequence[EarlierStudy],
    *,
    limit: int,
    is_known: Callable[[Mapping[str, Scalar]], bool],
) -> list[WarmCandidate]:
    """Return the candidates of earlier studies that fit this one, the best first.

    A parameter that the earlier study did not have takes its current value, and values snap
    to today's grid; a candidate outside today's ranges or constraints is left out.

    Args:
        spec: The study.
        goals: Its targets, resolved; they rank the candidates.
        studies: From ``earlier_studies``.
        limit: How many are returned at most that have to be evaluated.
        is_known: Whether a candidate's metrics are at hand, so that it costs nothing.
    """
    chosen: dict[str, WarmCandidate] = {}
    for study in studies:
        ranked = sorted(study.trials, key=lambda trial: _rank(goals, trial))
        for trial in ranked:
            values = _fitted(spec, trial.candidate)
            if values is None:
                continue
            lineage = f"warm start from {study.name}, trial {trial.number}"
            chosen.setdefault(candidate_key(values), WarmCandidate(values, lineage))
    candidates = []
    left = limit
    for candidate in chosen.values():
        is_free = is_known(candidate.values)
        if is_free or left > 0:
            candidates.append(candidate)
            left -= not is_free
    return candidates


def _rank(goals: Sequence[Goal], trial: StoredTrial) -> tuple[float, ...]:
    """Sort by this study's targets as far as the earlier study has their metrics."""
    metrics = trial.metrics
    known = [goal for goal in goals if goal.metric in metrics]
    missing = float(len(goals) - len(known))
    return (missing, *(rank_key(known, metrics) if known else ()), float(trial.number))


def _fitted(spec: StudySpec, values: Mapping[str, Any]) -> dict[str, Scalar] | None:
    known = {name: value for name, value in values.items() if name in spec.parameters}
    if not known:
        return None
    try:
        fitted = dict(canonical(spec, current_candidate(spec) | known))
    except SpecError:
        return None
    return fitted if constraints_hold(spec, fitted) else None
