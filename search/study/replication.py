"""One value for a metric that was evaluated under several random seeds. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence


def over_replications(
    evaluations: Sequence[Mapping[str, float]], statistic: str = "mean"
) -> dict[str, float]:
    """Return each metric's statistic over the replications; exact for a single one.

    Args:
        evaluations: Metrics of each replication, at least one.
        statistic: ``mean``, ``median``, ``min``, ``max`` or a quantile, ``p1`` to ``p99``.

    Example:
        >>> over_replications([{"cost": 1.0}, {"cost": 2.0}, {"cost": 6.0}], "mean")
        {'cost': 3.0}
        >>> over_replications([{"cost": 1.0}, {"cost": 2.0}, {"cost": 6.0}], "p75")
        {'cost': 4.0}
    """
    if len(evaluations) == 1:
        return dict(evaluations[0])
    return {
        name: _statistic([evaluation[name] for evaluation in evaluations], statistic)
        for name in evaluations[0]
    }


def _statistic(values: Sequence[float], statistic: str) -> float:
    if statistic == "mean":
        return math.fsum(values) / len(values)
    if statistic == "median":
        return float(statistics.median(values))
    if statistic in ("min", "max"):
        return float(min(values) if statistic == "min" else max(values))
    return quantile(values, int(statistic.removeprefix("p")) / 100)


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile, interpolated linearly between the two nearest values.

    Args:
        values: At least one.
        share: 0 (least) to 1 (greatest).

    Source:
        Definition 7 of Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996.
    """
    ordered = sorted(values)
    position = (len(ordered) - 1) * share
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])
