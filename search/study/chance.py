"""What chance does to targets: how sure a share is, and what a seed alone moves. Pure.

The same candidate comes out otherwise under another random seed. Seeds are common to all
candidates (common random numbers), so what a seed does to one tells what it does to the next.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from search.study.targets import Goal, allowed_distance

CONFIDENCE = 0.95
"""Of intervals of a share."""
WANTED = 0.8
"""Chance of meeting all targets that a preferred plan has where the targets do not say."""
NORMAL = NormalDist()


@dataclass(frozen=True)
class Noise:
    """What the seed alone does to a metric.

    Attributes:
        offset: Mean over seeds minus the value under the seeds of the search.
        deviation: Standard deviation over seeds, in the metric's unit.
        seeds: How many seeds that is known from.
    """

    offset: float
    deviation: float
    seeds: int


def noise_of(
    searched: Mapping[str, float], evaluations: Sequence[Mapping[str, float]], used: int = 1
) -> dict[str, Noise]:
    """Return what the seed does to each metric of a candidate; empty with fewer than two seeds.

    Args:
        searched: Its metrics under the seeds of the search.
        evaluations: Its metrics under each of some other seeds.
        used: Over how many seeds the search takes its statistic.
    """
    if len(evaluations) < 2:
        return {}
    noise = {}
    for name, value in searched.items():
        values = [evaluation[name] for evaluation in evaluations]
        offset = (math.fsum(values) / len(values) - value) if used == 1 else 0.0
        noise[name] = Noise(offset, statistics.stdev(values), len(values))
    return noise


def jeffreys(met: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return an interval of the chance behind ``met`` of ``total``, 0 to 1.

    Source:
        The equal-tailed interval of the Jeffreys prior, with its ends 0 and 1 where none or all
        are met: L. Brown, T. Cai and A. DasGupta, "Interval estimation for a binomial
        proportion", Statistical Science 16 (2001).

    Example:
        >>> [round(end, 3) for end in jeffreys(17, 20)]
        [0.651, 0.956]
    """
    if total == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    a, b = met + 0.5, total - met + 0.5
    low = 0.0 if met == 0 else _beta_quantile(tail, a, b)
    high = 1.0 if met == total else _beta_quantile(1 - tail, a, b)
    return low, high


def chance_of(goal: Goal, values: Sequence[float]) -> float:
    """Return the chance that a metric meets its target, modelled as normal, 0 to 1.

    Args:
        goal: Resolved.
        values: The metric under some seeds, at least one.
    """
    low, high = window(goal)
    mean = math.fsum(values) / len(values)
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    if deviation == 0:
        return float(low <= mean <= high)
    spread = NormalDist(mean, deviation)
    return spread.cdf(high) - spread.cdf(low)


def window(goal: Goal) -> tuple[float, float]:
    """Return the least and the greatest value that meets a resolved goal; infinite where free."""
    if goal.is_objective:
        return -math.inf, math.inf
    if goal.kind == "equal":
        if goal.value is None:
            raise ValueError(f"the change of {goal.metric} must be resolved by resolve_goals first")
        allowed = allowed_distance(goal, goal.value)
        return goal.value - allowed, goal.value + allowed
    low, high = -math.inf, math.inf
    if goal.low is not None:
        low = goal.low - allowed_distance(goal, goal.low)
    if goal.high is not None:
        high = goal.high + allowed_distance(goal, goal.high)
    return low, high


def most_that_meet(goal: Goal, deviation: float) -> float:
    """Return the share of futures that the best plan can meet, when a seed moves a metric so."""
    low, high = window(goal)
    if deviation <= 0 or math.isinf(low) or math.isinf(high):
        return 1.0
    return 2 * NORMAL.cdf((high - low) / 2 / deviation) - 1


def _beta_quantile(share: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _beta_cdf(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function.

    Source:
        The continued fraction of W. Press et al., "Numerical Recipes" (2007), ch. 6.4, by the
        modified Lentz method.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1.0 / ((1 - (a + b) * x / (a + 1)) or tiny)
    fraction = d
    for m in range(1, 300):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / ((1 + term * d) or tiny)
            c = (1 + term / c) or tiny
            fraction *= d * c
        if abs(d * c - 1) < 1e-14:
            break
    return fraction
