"""The trials of a study as a sampler sees them: points and metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from search.sampling.axes import Array, Axis, Box
from search.sampling.observed import Key, Observed, keys_of
from search.study.metrics import METRIC_PREFIX


def metrics_of_trial(trial: FrozenTrial) -> dict[str, float] | None:
    """Return the metrics that a trial carries as user attributes ``metric:<name>``.

    None when it has none.
    """
    metrics = {
        name.removeprefix(METRIC_PREFIX): float(value)
        for name, value in trial.user_attrs.items()
        if name.startswith(METRIC_PREFIX)
    }
    return metrics or None


def axes_of(distributions: Mapping[str, BaseDistribution]) -> Box:
    """Return a search space as numbers.

    Raises:
        TypeError: If a distribution is none of float, int and categorical.
    """
    axes = []
    for name, distribution in distributions.items():
        if isinstance(distribution, CategoricalDistribution):
            axes.append(
                Axis(
                    name,
                    0.0,
                    float(len(distribution.choices) - 1),
                    choices=tuple(distribution.choices),
                )
            )
        elif isinstance(distribution, IntDistribution):
            low, high, step = (
                float(distribution.low),
                float(distribution.high),
                float(distribution.step),
            )
            axes.append(Axis(name, low, high, step, is_integer=True, is_log=distribution.log))
        elif isinstance(distribution, FloatDistribution):
            axes.append(
                Axis(
                    name,
                    distribution.low,
                    distribution.high,
                    distribution.step,
                    is_log=distribution.log,
                )
            )
        else:
            raise TypeError(f"{name} must be float, int or categorical, but got {distribution!r}")
    return Box(tuple(axes))


class History:
    """The trials of a study as a sampler sees them.

    Args:
        box: The space; trials that lack one of its parameters are left out.
        trials: All trials.
        number: Of the trial to propose for, left out.
        metrics: The metrics of a trial.
    """

    def __init__(
        self,
        box: Box,
        trials: Sequence[FrozenTrial],
        number: int,
        metrics: Callable[[FrozenTrial], Mapping[str, float] | None],
    ) -> None:
        self.box = box
        self._metrics = metrics
        self._complete: list[FrozenTrial] = []
        complete: list[Array] = []
        failed: list[Array] = []
        pending: list[Array] = []
        for trial in sorted(trials, key=lambda earlier: earlier.number):
            point = None if trial.number == number else _point(box, trial)
            if point is None:
                continue
            if trial.state == TrialState.COMPLETE:
                self._complete.append(trial)
                complete.append(point)
            elif trial.state.is_finished():
                failed.append(point)
            else:
                pending.append(point)
        self._points, self.failed, self.pending = (
            np.array(rows).reshape(-1, len(box.axes)) for rows in (complete, failed, pending)
        )
        self.known = np.concatenate([self._points, self.failed, self.pending])
        self.taken: set[Key] = set(keys_of(box.snap(self.known)))

    @property
    def width(self) -> int:
        """Coordinates of an encoded candidate."""
        return self.box.width

    def observed(self, names: Sequence[str]) -> Observed:
        """Return the evaluations that yielded finite values of some metrics."""
        kept, rows = [], []
        for position, trial in enumerate(self._complete):
            measured = self._metrics(trial) or {}
            row = [float(measured.get(name, math.nan)) for name in names]
            if all(map(math.isfinite, row)):
                kept.append(position)
                rows.append(row)
        metrics = np.array(rows).reshape(-1, len(names))
        return Observed(self._points[kept], metrics, self.failed)

    def reference(self, current: Key) -> Mapping[str, float] | None:
        """Return the metrics of the current parameters, or else of the first complete trial."""
        first = None
        keys = keys_of(self.box.snap(self._points))
        for trial, key in zip(self._complete, keys, strict=True):
            metrics = self._metrics(trial)
            if not metrics:
                continue
            first = first or metrics
            if key == current:
                return metrics
        return first


def _point(box: Box, trial: FrozenTrial) -> Array | None:
    """Return a trial's candidate; None when it is not a candidate of the space."""
    values = trial.params
    if trial.state == TrialState.WAITING:
        values = trial.system_attrs.get("fixed_params", {})
    units = [unit_of(axis, values[axis.name]) if axis.name in values else None for axis in box.axes]
    return None if None in units else np.array(units, dtype=float)


def unit_of(axis: Axis, value: Any) -> float | None:
    """Return a value's coordinate; None when the parameter cannot have it."""
    try:
        unit = axis.unit(value)
    except (StopIteration, ValueError, TypeError):
        return None
    return unit if math.isfinite(unit) else None
