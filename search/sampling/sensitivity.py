"""What one step of each parameter does to each metric, from the model of the metrics. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.sampling.axes import Axis, Box
from search.sampling.basis import Basis
from search.sampling.surrogate import Surrogate

Array = NDArray[np.float64]

STEP_SHARE = 0.01
"""Step of a parameter without a grid, as a share of its range."""
DRAWS = 32


@dataclass(frozen=True)
class Sensitivity:
    """The change of a metric when one parameter moves by one step.

    Attributes:
        metric: Name of the metric.
        parameter: Name of the parameter.
        start: Value of the parameter that the step starts from.
        end: Value after the step: one step of the grid up, 1 % of the range up without a
            grid, down where there is no room above; another choice.
        change: Of the metric, in its unit, with sign.
        uncertainty: Standard deviation of ``change``, in the same unit.
    """

    metric: str
    parameter: str
    start: Any
    end: Any
    change: float
    uncertainty: float


def sensitivities(
    box: Box,
    points: Array,
    metrics: Array,
    names: tuple[str, ...],
    at: Array,
    seed: int = 0,
) -> tuple[Sensitivity, ...]:
    """Return the change of each metric per step of each parameter at a candidate.

    Args:
        box: The parameters.
        points: Evaluated candidates.
        metrics: What came out, finite, shape (evaluations, metrics).
        names: Of the metrics.
        at: The candidate.
        seed: For the model's random features.
    """
    random = np.random.default_rng([seed, 1])
    nearest = _nearest(box, points, at)
    basis = Basis.of(box.width, random)
    model = Surrogate(basis, box.encode(points[nearest]), metrics[nearest], box.blocks)
    moves = [(i, end) for i, axis in enumerate(box.axes) for end in _ends(axis, float(at[i]))]
    if not moves:
        return ()
    moved = np.repeat(at[None], len(moves), axis=0)
    for row, (i, end) in enumerate(moves):
        moved[row, i] = end
    encoded = box.encode(np.concatenate([at[None], moved]))
    mean = model.mean().values(encoded)[0]
    drawn = model.draw(DRAWS, random).values(encoded)
    spread = (drawn[:, 1:] - drawn[:, :1]).std(axis=0)
    return tuple(
        Sensitivity(
            metric=name,
            parameter=box.axes[i].name,
            start=box.axes[i].value(float(at[i])),
            end=box.axes[i].value(end),
            change=float(mean[row + 1, column] - mean[0, column]),
            uncertainty=float(spread[row, column]),
        )
        for column, name in enumerate(names)
        for row, (i, end) in enumerate(moves)
    )


def _nearest(box: Box, points: Array, at: Array, most: int = 96) -> NDArray[np.intp]:
    distances = ((box.encode(points) - box.encode(at[None])) ** 2).sum(axis=1)
    return np.sort(np.argsort(distances, kind="stable")[:most])


def _ends(axis: Axis, unit: float) -> list[float]:
    if axis.low == axis.high:
        return []
    if axis.choices is not None:
        return [float(k) for k in range(len(axis.choices)) if k != round(unit)]
    if axis.step is not None:
        number = axis.value(unit)
        up = number + axis.step
        return [axis.unit(up if up <= axis.high + 1e-9 * axis.step else number - axis.step)]
    return [unit + STEP_SHARE if unit + STEP_SHARE <= 1.0 else unit - STEP_SHARE]
