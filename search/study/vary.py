"""What a frontier varies: a metric's target, from one value to another in so many steps. Pure."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from search.errors import SpecError
from search.study.figures import with_unit
from search.study.metrics import expand_metrics
from search.study.mistakes import did_you_mean, listed
from search.study.models import StudySpec
from search.study.percent import fraction_of
from search.study.targets import Goal

OPTION = "--vary"
MOST_POINTS = 200
"""Points of a frontier or map."""
_FORM = re.compile(r"([^=]+)=([^:]+):([^:]+):([^:]+)")


@dataclass(frozen=True)
class Vary:
    """One axis of a frontier.

    Attributes:
        metric: Whose target is varied.
        low: First value, in the metric's unit.
        high: Last value, greater.
        count: How many values, 2 at least.
        unit: Of the metric, for people.
    """

    metric: str
    low: float
    high: float
    count: int
    unit: str | None = None

    @property
    def values(self) -> tuple[float, ...]:
        """The values, evenly spread, both ends included."""
        step = (self.high - self.low) / (self.count - 1)
        inner = (_plain(self.low + i * step) for i in range(1, self.count - 1))
        return (self.low, *inner, self.high)

    @property
    def text(self) -> str:
        """The axis as it is asked for."""
        return f"{self.metric}={self.low!r}:{self.high!r}:{self.count}"

    def shown(self, value: float) -> str:
        """Return a value for people."""
        return with_unit(value, self.unit)


def _plain(value: float) -> float:
    """Return a value without the noise of its arithmetic."""
    return float(f"{value:.12g}")


def parse_varies(spec: StudySpec, texts: Sequence[str]) -> tuple[Vary, ...]:
    """Return the axes of a frontier: one, or two for a map.

    Args:
        spec: The study.
        texts: Each ``metric=low:high:count``.

    Raises:
        SpecError: If one breaks a rule; says what is allowed.
    """
    if not 1 <= len(texts) <= 2:
        raise SpecError(f"{OPTION} must be given once, or twice for a map, but got {len(texts)}")
    varies = tuple(_parsed(spec, text) for text in texts)
    if len({vary.metric for vary in varies}) < len(varies):
        raise SpecError(f"{OPTION} must name two metrics, but got {varies[0].metric} twice")
    points = math.prod(vary.count for vary in varies)
    if points > MOST_POINTS:
        raise SpecError(f"{OPTION} must make at most {MOST_POINTS} points, but got {points}")
    return varies


def _parsed(spec: StudySpec, text: str) -> Vary:
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise SpecError(
            f"{OPTION} must be metric=low:high:count, such as cost=10.6e9:11.2e9:7, but got "
            f"{text!r:.80}"
        )
    name, low_text, high_text, count_text = (part.strip() for part in match.groups())
    metrics = {metric.name: metric for metric in expand_metrics(spec)}
    if name not in metrics:
        raise SpecError(
            f"{OPTION} must name a metric, of which there are {listed(metrics)}, but got "
            f"{name!r:.80}{did_you_mean(name, metrics)}"
        )
    target = spec.targets.get(name) or spec.targets.get(name.partition("@")[0])
    if target is not None and target.kind in ("minimize", "maximize"):
        raise SpecError(
            f"{OPTION} must name a metric that has a value to reach, but {name} is to be "
            f"{target.kind}d; vary another target, and each point has the best {name}"
        )
    low, high = (_number(name, given) for given in (low_text, high_text))
    if not low < high:
        raise SpecError(f"{OPTION} {name} must go from low to high, but got {low:g} to {high:g}")
    if not count_text.isdecimal() or not 2 <= int(count_text) <= MOST_POINTS:
        raise SpecError(
            f"{OPTION} {name} must have 2 to {MOST_POINTS} values, but got {count_text!r:.20}"
        )
    return Vary(name, low, high, int(count_text), metrics[name].unit)


def _number(name: str, text: str) -> float:
    fraction = fraction_of(text)
    try:
        value = float(text.replace("_", "")) if fraction is None else fraction
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SpecError(
            f"{OPTION} {name} must have numbers, such as 10.6e9 or 3%, but got {text!r:.40}"
        )
    return value


def usual_axis(spec: StudySpec) -> Vary:
    """Return an axis around the study's first target: five values, 2 % to either side.

    Raises:
        SpecError: If no target has a level of its own.
    """
    for metric in expand_metrics(spec):
        target = spec.targets.get(metric.name) or spec.targets.get(metric.name.partition("@")[0])
        if target is None or target.kind not in ("value", "at_most", "at_least"):
            continue
        level = target.level(metric.loop[1] if metric.loop else None)
        if level:
            ends = sorted((_plain(level * 0.98), _plain(level * 1.02)))
            return Vary(metric.name, ends[0], ends[1], 5, metric.unit)
    raise SpecError(
        "no target has a level to vary (value, at_most or at_least); say what is varied: "
        "metric=low:high:count"
    )


def levels_of(varies: Sequence[Vary]) -> list[dict[str, float]]:
    """Return the points of a frontier: metric to value, the last axis fastest."""
    names = [vary.metric for vary in varies]
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(vary.values for vary in varies))
    ]


def goals_at(goals: Sequence[Goal], levels: Mapping[str, float], spec: StudySpec) -> list[Goal]:
    """Return the targets with some of them at other values; a bound stays a bound.

    A metric without a target gets one, with ``search.tolerance``.

    Args:
        goals: Resolved.
        levels: Metric to value.
        spec: The study.
    """
    units = {metric.name: metric.unit for metric in expand_metrics(spec)}
    goals_there = [
        _at(goal, levels[goal.metric]) if goal.metric in levels else goal for goal in goals
    ]
    missing = [name for name in levels if all(goal.metric != name for goal in goals)]
    return goals_there + [
        Goal(name, "equal", value=levels[name], tolerance=spec.search.tolerance, unit=units[name])
        for name in missing
    ]


def _at(goal: Goal, value: float) -> Goal:
    if goal.kind == "at_most":
        return replace(goal, high=value)
    if goal.kind == "at_least":
        return replace(goal, low=value)
    if goal.kind == "between" and goal.low is not None and goal.high is not None:
        half = (goal.high - goal.low) / 2
        return replace(goal, low=value - half, high=value + half)
    return replace(goal, kind="equal", value=value, low=None, high=None, change=None)
