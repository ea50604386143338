"""Plans as rows of the trail: the winner in other futures, the others, those of a frontier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from search.audit.records import (
    FrontierPlan,
    PlanAlternative,
    PlanFuture,
    RunRecord,
    value_columns,
)
from search.storage.trials import StoredTrial
from search.study import StudySpec
from search.study.alternatives import alternatives


def frontier_plans(
    frontiers: Mapping[str, Mapping[str, Any]],
    *,
    study: str,
    units: Mapping[str, str | None],
) -> Iterable[FrontierPlan]:
    """Yield a row for each parameter and metric of each point.

    Args:
        frontiers: What was varied to the points that were solved.
        study: The study's name in the storage.
        units: Unit of each parameter and metric.
    """
    for frontier, document in frontiers.items():
        points = sorted(document["points"], key=lambda point: list(point["levels"].values()))
        for number, point in enumerate(points, start=1):
            numbers = [("parameter", value) for value in point["values"].items()]
            numbers += [("metric", metric) for metric in point["metrics"].items()]
            for kind, (name, value) in numbers:
                yield FrontierPlan(
                    study=study,
                    frontier=frontier,
                    point=number,
                    levels=point["levels"],
                    is_met=point["is_met"],
                    reason=point["reason"],
                    trial=point["trial"],
                    new_evaluations=len(point["evaluated"]),
                    kind=kind,
                    name=name,
                    **value_columns(value),
                    unit=units.get(name),
                )


def plan_futures(
    best: StoredTrial | None,
    runs: Sequence[RunRecord],
    *,
    study: str,
    units: Mapping[str, str | None],
) -> Iterable[PlanFuture]:
    """Yield what the newest run that has appraised the best trial says of it."""
    for run in reversed(runs):
        known = (run.appraisal or {}).get("confirmation") or {}
        if best is None or run.best_trial != best.number or not known.get("futures"):
            continue
        for future in known["futures"]:
            for name, value in future["metrics"].items():
                yield PlanFuture(
                    study=study,
                    trial=best.number,
                    seed=str(future["seed"]),
                    is_searched=future["is_searched"],
                    metric=name,
                    value=value,
                    unit=units.get(name),
                    is_all_targets_met=future["is_met"],
                )
        return


def plan_alternatives(
    met: Sequence[StoredTrial],
    spec: StudySpec,
    *,
    study: str,
    units: Mapping[str, str | None],
) -> Iterable[PlanAlternative]:
    """Yield the other plans that meet every target, the winner first among ``met``."""
    plans = [(trial.number, trial.candidate) for trial in met]
    for position, alternative in enumerate(alternatives(spec, plans), start=1):
        for name, value in alternative.values.items():
            yield PlanAlternative(
                study=study,
                alternative=position,
                name=alternative.name,
                trial=alternative.trial,
                differs_ranges=alternative.differs,
                parameter=name,
                **value_columns(value),
                unit=units.get(name),
            )
