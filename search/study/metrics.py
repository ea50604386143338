"""Metrics with their repetitions unrolled, each with its own name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from search.study.goals import MetricSpec
from search.study.mistakes import wrong
from search.study.scenario import StepSpec
from search.study.values import Scalar, value_text

if TYPE_CHECKING:
    from search.study.models import StudySpec

METRIC_PREFIX = "metric:"
"""Of the attribute of a trial that holds a metric."""


@dataclass(frozen=True)
class ExpandedMetric:
    """One number that an evaluation yields.

    Attributes:
        name: ``growth``, or ``growth@2026`` for one repetition.
        key: The metric's name in the study file: ``growth``.
        sql: Its query, a template; ``{{ name }}`` is the loop's value when there is a loop.
        unit: For people; may be None.
        after: ``end``, or ``each`` for reading after each repetition of a step.
        step: With ``each``: index of the looping step in ``steps``; else None.
        combine: With ``each``: how its readings become one number, as in the file; else None.
        loop: Name and value of the one repetition that it belongs to, or None.
    """

    name: str
    key: str
    sql: str
    unit: str | None = None
    after: Literal["end", "each"] = "end"
    step: int | None = None
    combine: str | None = None
    loop: tuple[str, Scalar] | None = None


def expand_metrics(spec: StudySpec) -> tuple[ExpandedMetric, ...]:
    """Return every metric that an evaluation yields, in file order."""
    return expand_each(spec.metrics, spec.scenario.steps)


def metric_ids(spec: StudySpec) -> tuple[str, ...]:
    """Return the names of the metrics that an evaluation yields, in file order."""
    return tuple(metric.name for metric in expand_metrics(spec))


def expand_each(
    metrics: Mapping[str, MetricSpec], steps: Sequence[StepSpec]
) -> tuple[ExpandedMetric, ...]:
    """Return the metrics of a file's sections; see ``expand_metrics``.

    Raises:
        PydanticCustomError: If a metric read after each repetition has no looping step.
    """
    expanded: list[ExpandedMetric] = []
    for key, metric in metrics.items():
        step = looping_step(metric, steps)
        loop = next(iter(metric.for_each.items())) if metric.for_each else None
        if step is not None and metric.combine == "each":
            loop = steps[step].loop
        name, values = loop or ("", (None,))
        for value in values:
            expanded.append(
                ExpandedMetric(
                    name=key if value is None else f"{key}@{value_text(value)}",
                    key=key,
                    sql=metric.sql,
                    unit=metric.unit,
                    after=metric.after,
                    step=step,
                    combine=metric.combine,
                    loop=None if value is None else (name, value),
                )
            )
    return tuple(expanded)


def looping_step(metric: MetricSpec, steps: Sequence[StepSpec]) -> int | None:
    """Return the index of the step after whose repetitions a metric is read; None at the end.

    Raises:
        PydanticCustomError: If there is no such step, or several and none is named.
    """
    if metric.after == "end":
        return None
    looping = [index for index, step in enumerate(steps) if step.loop is not None]
    places = " and ".join(f"steps[{index}]" for index in looping) or "none"
    if metric.step is not None:
        if metric.step not in looping:
            raise wrong(f"must be a step with for_each ({places}), but got {metric.step}", "step")
        return metric.step
    if len(looping) != 1:
        hint = "; name one with `step`" if looping else ""
        raise wrong(
            f"after: each needs one step with for_each, but there are {places}{hint}", "after"
        )
    return looping[0]
