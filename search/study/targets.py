"""Targets against metrics: what is wanted, how far off a metric is, what is met. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from search.errors import SpecError
from search.study.cross_checks import target_metrics
from search.study.figures import signed, with_unit
from search.study.metrics import ExpandedMetric, expand_metrics
from search.study.models import StudySpec

Kind = Literal["equal", "at_most", "at_least", "between", "minimize", "maximize"]

MAX_VIOLATION = 1e140
"""Violations are cut off here, so that a weighted sum of squares stays finite."""
DEFAULT_TOLERANCE = 0.02

_KINDS: dict[str, Kind] = {
    "value": "equal",
    "change": "equal",
    "at_most": "at_most",
    "at_least": "at_least",
    "between": "between",
    "minimize": "minimize",
    "maximize": "maximize",
}


@dataclass(frozen=True)
class Goal:
    """What one metric should be.

    Attributes:
        metric: Name of the metric, ``growth@2026`` for one repetition.
        kind: What is asked.
        value: With ``equal``: the target, in the metric's unit; None until a ``change`` is
            resolved. With ``minimize`` and ``maximize``: the metric at the current
            parameters once resolved, which only sets the scale.
        low: With ``at_least`` and ``between``: the lower bound.
        high: With ``at_most`` and ``between``: the upper bound.
        change: The fraction by which the metric should change, when so asked.
        tolerance: Allowed distance: a fraction of the target or bound, or in the metric's unit.
        is_relative_tolerance: Whether ``tolerance`` is a fraction.
        weight: Priority as a number.
        priority: Priority as in the study file.
        unit: Of the metric, for people.
        probability: Share of futures in which the target is to be met; None for the seeds of the
            search alone.
        margin: How far inside what meets the target the search's own metric must stay for that,
            in the metric's unit; known once seeds are evaluated.
        shift: How far the mean over all seeds lies above the search's own metric.
    """

    metric: str
    kind: Kind
    value: float | None = None
    low: float | None = None
    high: float | None = None
    change: float | None = None
    tolerance: float = DEFAULT_TOLERANCE
    is_relative_tolerance: bool = True
    weight: float = 2.0
    priority: str = "medium"
    unit: str | None = None
    probability: float | None = None
    margin: float = 0.0
    shift: float = 0.0

    @property
    def is_objective(self) -> bool:
        """Whether the goal has no point at which it is met: minimize and maximize."""
        return self.kind in ("minimize", "maximize")


def goals_of(spec: StudySpec) -> tuple[Goal, ...]:
    """Return the targets of a study, one goal for each metric, in file order."""
    expanded = expand_metrics(spec)
    goals = []
    for name in spec.targets:
        for metric in target_metrics(name, expanded):
            goal = _goal(spec, name, metric)
            goals += [goal] if goal else []
    return tuple(goals)


def _goal(spec: StudySpec, name: str, metric: ExpandedMetric) -> Goal | None:
    """Return the goal of one repetition; None when the target's mapping leaves it out."""
    target = spec.targets[name]
    kind = _KINDS[target.kind]
    level = None
    low, high = target.between or (None, None)
    if target.kind in ("value", "change", "at_most", "at_least"):
        level = target.level(metric.loop[1] if metric.loop else None)
        if level is None:
            return None
        low = level if kind == "at_least" else None
        high = level if kind == "at_most" else None
    default = spec.search.tolerance if kind == "equal" else 0.0
    written = target.tolerance_abs if target.tolerance_abs is not None else target.tolerance
    return Goal(
        metric=metric.name,
        kind=kind,
        value=level if target.kind == "value" else None,
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        change=level if target.kind == "change" else None,
        tolerance=default if written is None else float(written),
        is_relative_tolerance=target.tolerance_abs is None,
        weight=target.weight,
        priority=str(target.priority),
        unit=metric.unit,
        probability=target.probability,
    )


def effective(goal: Goal) -> Goal:
    """Return a goal as the search's own metric is judged: shifted, and with its margin taken off.

    Where nothing is left it is the middle of what meets the target.
    """
    if (goal.margin <= 0 and goal.shift == 0) or goal.is_objective:
        return goal
    plain = replace(goal, margin=0.0, shift=0.0)
    if goal.kind == "equal" and goal.value is not None:
        allowed = allowed_distance(goal, goal.value)
        left = max(allowed - goal.margin, allowed * 1e-6)
        value = goal.value - goal.shift
        return replace(plain, value=value, tolerance=left, is_relative_tolerance=False)
    low = None if goal.low is None else goal.low - goal.shift + goal.margin
    high = None if goal.high is None else goal.high - goal.shift - goal.margin
    if low is not None and high is not None and low >= high:
        middle, width = (low + high) / 2, high - low + 2 * goal.margin
        low, high = middle - 1e-6 * width, middle + 1e-6 * width
    return replace(plain, low=low, high=high)


def resolve_goals(
    goals: Sequence[Goal], reference_metrics: Mapping[str, float]
) -> tuple[Goal, ...]:
    """Return the goals with every ``change`` turned into a value.

    Args:
        goals: From ``goals_of``.
        reference_metrics: Metrics at the current parameters.

    Raises:
        SpecError: If a metric to change is 0 there, or the target becomes 0 without
            an absolute tolerance.
        ValueError: If a metric is missing or not finite.
    """
    resolved = []
    for goal in goals:
        if goal.change is None and not goal.is_objective:
            resolved.append(goal)
            continue
        reference = metric_of(goal, reference_metrics)
        if goal.change is None:
            resolved.append(replace(goal, value=reference))
            continue
        if reference == 0:
            text = "must be a metric that is not 0 at the current parameters; use `value` instead"
            raise SpecError(text, key=f"targets.{goal.metric}.change")
        value = reference + abs(reference) * goal.change
        resolved.append(replace(goal, value=value))
    return tuple(resolved)


def objective_goals(goals: Sequence[Goal]) -> tuple[Goal, ...]:
    """Return the goals to minimise or maximise."""
    return tuple(goal for goal in goals if goal.is_objective)


def variance(goal: Goal, metric_value: float) -> float:
    """Return the relative distance of a metric from its target: metric / target - 1.

    The sign says above (+) or below (-), for negative targets too. It is 0 for a bound
    that holds and for minimize and maximize; a violated bound is its own target. For a
    target or bound of 0 it is the absolute distance, in the metric's unit.

    Raises:
        ValueError: If the metric is not finite or the goal's ``change`` is not resolved.
    """
    distance, anchor = _distance(goal, metric_value)
    if distance == 0 or anchor == 0:
        return distance
    return distance / abs(anchor)


def is_distance(goal: Goal, metric_value: float) -> bool:
    """Return whether ``variance`` is in the metric's unit, because the target or bound is 0."""
    distance, anchor = _distance(goal, metric_value)
    return anchor == 0 and not goal.is_objective and (goal.kind == "equal" or distance != 0)


def off_text(goal: Goal, metric_value: float) -> str:
    """Return a variance for people: a percentage, or the distance from a target of 0.

    A bound that holds has none: the metric is ``inside``.

    Raises:
        ValueError: If the metric is not finite or the goal's ``change`` is not resolved.
    """
    off = variance(goal, metric_value)
    if off == 0 and goal.kind != "equal":
        return "inside"
    return signed(off, goal.unit) if is_distance(goal, metric_value) else f"{off * 100:+z.2f} %"


def standing_texts(goals: Sequence[Goal], metrics: Mapping[str, float]) -> dict[str, str]:
    """Return where each goal's metric stands, by metric: its variance, an objective's value.

    Raises:
        ValueError: If a metric is missing or not finite.
    """
    return {
        goal.metric: with_unit(metric_of(goal, metrics), goal.unit)
        if goal.is_objective
        else off_text(goal, metric_of(goal, metrics))
        for goal in goals
    }


def violation(goal: Goal, metric_value: float) -> float:
    """Return the distance from the target in units of its tolerance; finite, at least 0.

    At most 1 means met. A bound counts only what lies beyond it; a bound without
    tolerance is violated by more than 1, growing by 1 for each 2 % beyond (of the bound,
    or of 1 when the bound is 0).

    Raises:
        ValueError: As for ``variance``.
    """
    judged = effective(goal)
    distance, anchor = _distance(judged, metric_value)
    if distance == 0:
        return 0.0
    allowed = allowed_distance(judged, anchor)
    if judged is not goal and not _is_within(distance, allowed, anchor):
        # A margin makes a target harder to meet, not a miss of it worse.
        unit = allowed_distance(goal, anchor) or DEFAULT_TOLERANCE * (abs(anchor) or 1)
        units = math.nextafter(1.0, 2.0) + (abs(distance) - allowed) / unit
    elif allowed > 0:
        units = abs(distance) / allowed
        if _is_within(distance, allowed, anchor):
            units = min(units, 1.0)
    else:
        # 2 % of a bound next to 0 may be too small for a float.
        step = DEFAULT_TOLERANCE * (abs(anchor) or 1) or math.ulp(0.0)
        units = math.nextafter(1.0, 2.0) + abs(distance) / step
    return min(units, MAX_VIOLATION)


def is_met(goal: Goal, metric_value: float) -> bool:
    """Return whether a metric is within its target's tolerance; objectives always are.

    Raises:
        ValueError: As for ``variance``.
    """
    return violation(goal, metric_value) <= 1


def verdict(goal: Goal, metric_value: float) -> str:
    """Return a goal's outcome in words.

    Example:
        >>> verdict(Goal("cost", "equal", value=50.0, tolerance=0.02, unit="USD"), 50.5)
        'met: 50.5 USD is +1.00 % from 50 USD (allowed 2 %)'
    """
    unit = f" {goal.unit}" if goal.unit else ""
    shown = f"{_shown(metric_value)}{unit}"
    if goal.is_objective:
        return f"{goal.kind}: {shown}"
    state = "met" if is_met(goal, metric_value) else "missed"
    distance, anchor = _distance(goal, metric_value)
    if distance == 0 and goal.kind != "equal":
        return f"{state}: {shown} is {_bound_text(goal, unit)}"
    off = (
        f"{'+' if distance > 0 else ''}{_shown(distance)}{unit}"
        if anchor == 0
        else f"{distance / abs(anchor):+.2%}"
    )
    limit = f"{goal.tolerance:.4g}{unit}"
    if goal.is_relative_tolerance:
        limit = f"{goal.tolerance * 100:.4g} %"
    off = off.replace("%", " %")
    return f"{state}: {shown} is {off} from {_shown(anchor)}{unit} (allowed {limit})"


def variances(goals: Sequence[Goal], metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the variance of each goal, by metric.

    Raises:
        ValueError: If a metric is missing or not finite.
    """
    return {goal.metric: variance(goal, metric_of(goal, metrics)) for goal in goals}


def all_met(goals: Sequence[Goal], metrics: Mapping[str, float]) -> bool:
    """Return whether every goal is met; objectives do not count.

    Raises:
        ValueError: If a metric is missing or not finite.
    """
    return all(is_met(goal, metric_of(goal, metrics)) for goal in goals)


def metric_of(goal: Goal, metrics: Mapping[str, float]) -> float:
    """Return the metric that a goal is about."""
    if goal.metric not in metrics:
        raise ValueError(f"metrics must have {goal.metric!r}, but have {sorted(metrics)}")
    return _finite(goal, metrics[goal.metric])


def _finite(goal: Goal, value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"metric {goal.metric} must be finite, but got {value}")
    return float(value)


def _distance(goal: Goal, metric_value: float) -> tuple[float, float]:
    """Return the signed distance from the target or the violated bound, and that anchor."""
    value = _finite(goal, metric_value)
    if goal.is_objective:
        return 0.0, 0.0
    if goal.kind == "equal":
        if goal.value is None:
            raise ValueError(f"the change of {goal.metric} must be resolved by resolve_goals first")
        return _finite(goal, value - goal.value), goal.value
    if goal.high is not None and value > goal.high:
        return value - goal.high, goal.high
    if goal.low is not None and value < goal.low:
        return value - goal.low, goal.low
    return 0.0, value


def allowed_distance(goal: Goal, anchor: float) -> float:
    """Return the tolerance at a target or bound, in the metric's unit."""
    return goal.tolerance * abs(anchor) if goal.is_relative_tolerance else goal.tolerance


def _is_within(distance: float, allowed: float, anchor: float) -> bool:
    """Compare with the rounding of a subtraction forgiven: 51 is within 2 % of 50."""
    return abs(distance) <= allowed + 4 * math.ulp(max(abs(anchor), abs(anchor + distance)))


def squashed(goal: Goal, value: float) -> float:
    """Return a number of the same order between 0 and 1: less is better, 0.5 is today."""
    sign = 1.0 if goal.kind == "minimize" else -1.0
    today = goal.value or 0.0
    # asinh compresses what atan alone would flatten to the last digit.
    scaled = math.asinh((value - today) / max(abs(today), 1e-9))
    return 0.5 + math.atan(sign * scaled) / math.pi


def _shown(number: float) -> str:
    """Return a number for people: six digits or all whole ones, no exponent when avoidable."""
    if number == 0 or not 1e-4 <= abs(number) < 1e15:
        return f"{number:g}"
    decimals = max(0, 5 - math.floor(math.log10(abs(number))))
    text = f"{number:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def _bound_text(goal: Goal, unit: str) -> str:
    low, high = (None if bound is None else _shown(bound) for bound in (goal.low, goal.high))
    if goal.kind == "between":
        return f"between {low} and {high}{unit}"
    return f"at most {high}{unit}" if goal.kind == "at_most" else f"at least {low}{unit}"


def is_resolved(goal: Goal) -> bool:
    """Return whether distances from a target are known: a change needs today's metric."""
    return goal.kind != "equal" or goal.value is not None
