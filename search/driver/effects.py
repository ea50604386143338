"""What a step of a parameter does at the winner, and which parameters do the same. Pure."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from search.study.preference import unit_of
from search.study.targets import Goal
from search.study.values import Scalar

REACH = 2.5
"""Standard deviations of a modelled effect to either side. The model's own deviation leaves out
that its strengths are fitted to the same few evaluations, so that 1.96 of them is too few."""
ALIKE = 0.98
"""Cosine between what two parameters do to all targets, from which they are interchangeable."""
NOTICEABLE = 0.01
"""Effect of a step, in tolerances, below which a parameter does nothing to a target."""


@dataclass(frozen=True)
class Effect:
    """What one step of a parameter does to a metric at the winner.

    Attributes:
        metric: Name of the metric.
        parameter: Name of the parameter.
        start: The winner's value.
        end: The value one step on; another choice for a categorical.
        modelled: Change of the metric by the model, in its unit, with sign.
        uncertainty: Standard deviation of ``modelled``.
        evaluated: The same change by evaluating the scenario: half the difference between
            one step up and one down where both are allowed; None when not checked.
    """

    metric: str
    parameter: str
    start: Scalar
    end: Scalar
    modelled: float | None
    uncertainty: float | None
    evaluated: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the modelled change lies."""
        if self.modelled is None or self.uncertainty is None:
            return None
        reach = REACH * self.uncertainty
        return self.modelled - reach, self.modelled + reach

    @property
    def is_known(self) -> bool:
        """Whether the change, with its sign, may be shown."""
        if self.evaluated is not None:
            return True
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]

    def document(self) -> dict[str, Any]:
        """Return the effect as JSON-safe values."""
        return dataclasses.asdict(self) | {"interval": self.interval, "is_known": self.is_known}


@dataclass(frozen=True)
class Interchangeable:
    """Two parameters that do the same to every target at the winner.

    Attributes:
        parameter: One of them.
        other: The other one.
        ratio: Change of ``other`` that does what a change of ``parameter`` by 1 does, with sign.
        targets: On how many targets.
        largest: Change of ``parameter``, without sign, that neither range is too narrow for.
    """

    parameter: str
    other: str
    ratio: float
    targets: int
    largest: float | None = None


def interchangeable(
    goals: Sequence[Goal],
    effects: Sequence[Effect],
    ranges: Mapping[str, float] = MappingProxyType({}),
) -> tuple[Interchangeable, ...]:
    """Return the pairs of numeric parameters that do the same to every target, but for a factor.

    With two targets or more; an effect that is not known stands for none.

    Args:
        goals: Resolved.
        effects: Of a step of each parameter at one candidate.
        ranges: What lies between the lowest and the highest value of each parameter.
    """
    targets = [goal for goal in goals if not goal.is_objective]
    vectors: dict[str, list[float]] = {}
    steps: dict[str, float] = {}
    for effect in effects:
        if isinstance(effect.start, str | bool) or isinstance(effect.end, str | bool):
            continue
        change = effect.evaluated if effect.evaluated is not None else effect.modelled
        goal = next((target for target in targets if target.metric == effect.metric), None)
        if goal is None or change is None:
            continue
        steps[effect.parameter] = effect.end - effect.start
        row = vectors.setdefault(effect.parameter, [])
        row.append((change if effect.is_known else 0.0) / unit_of(goal))
    alike = []
    for (left, a), (right, b) in itertools.combinations(vectors.items(), 2):
        length, other = math.hypot(*a), math.hypot(*b)
        if len(a) < 2 or len(b) != len(a) or min(length, other) < NOTICEABLE:
            continue
        product = sum(x * y for x, y in zip(a, b, strict=True))
        if abs(product) >= ALIKE * length * other:
            # Change of the right parameter that does what one unit of the left one does.
            ratio = product / other**2 * steps[right] / steps[left]
            widths = (ranges.get(left, math.inf), ranges.get(right, math.inf) / abs(ratio))
            largest = min(widths) if math.isfinite(min(widths)) else None
            alike.append(Interchangeable(left, right, ratio, len(a), largest))
    return tuple(alike)
