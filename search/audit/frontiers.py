"""Frontiers as the storage has them, as rows of the trail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from search.audit.records import FrontierPlan, value_columns


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
            numbers = [("parameter", one) for one in point["values"].items()]
            numbers += [("metric", one) for one in point["metrics"].items()]
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
