"""The bounded Gauss-Newton step on the model: from many starts at once. Pure.

Source:
    J. Nocedal and S. J. Wright, "Numerical Optimization" (2006), ch. 10.3
    (Levenberg-Marquardt) and 16.7 (projected gradient: coordinates at a bound whose
    step leads outside are held).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search.sampling.aims import Aims

Array = NDArray[np.float64]

ITERATIONS = 14
WALL_STRENGTH = 1e6
"""Stiffness across a wall that a step may not pass, relative to the model's own."""
PROJECTIONS = 6


class Paired(Protocol):
    """Functions of the metrics, one for each start; ``search.sampling.functions`` has them."""

    def paired(self, points: Array) -> Array:
        """Return each function at the point of its own position, shape (points, metrics)."""

    def paired_slopes(self, points: Array, values: Array) -> Array:
        """Return derivatives of ``paired`` by coordinate, shape (points, metrics, width)."""


@dataclass(frozen=True)
class Walls:
    """Constraints as half-spaces of encoded points: normal . x + offset <= 0.

    Attributes:
        normals: Of length 1, shape (walls, numbers).
        offsets: Shape (walls,).
    """

    normals: Array
    offsets: Array

    def along(
        self,
        points: Array,
        step: Array,
        normal: Array,
        gradient: Array,
        held: NDArray[np.bool_],
        size: Array,
    ) -> Array:
        """Return steps that follow the walls at which points stand, where they led outside."""
        numbers = self.normals.shape[1]
        for normal_of_wall, offset in zip(self.normals, self.offsets, strict=True):
            stands = points[:, :numbers] @ normal_of_wall + offset > -1e-9
            outside = stands & (step[:, :numbers] @ normal_of_wall > 1e-12)
            if not outside.any():
                continue
            wide = np.zeros((len(points), points.shape[1]))
            wide[:, :numbers] = normal_of_wall
            wide[held] = 0.0
            stiff = (WALL_STRENGTH * size * outside)[:, None, None]
            normal = np.asarray(normal + stiff * wide[:, :, None] * wide[:, None, :])
            step = np.asarray(-np.linalg.solve(normal, gradient[:, :, None])[:, :, 0])
        return step

    def projected(
        self,
        points: Array,
        targets: Array,
        may_move: NDArray[np.bool_],
        low: Array,
        high: Array,
    ) -> Array:
        """Return the targets moved inside limits and walls, held coordinates as in points."""
        inside = np.where(may_move, np.clip(targets, low, high), points)
        numbers = self.normals.shape[1]
        for _ in range(PROJECTIONS if len(self.offsets) else 0):
            for normal, offset in zip(self.normals, self.offsets, strict=True):
                beyond = np.maximum(0.0, inside[:, :numbers] @ normal + offset)
                ways = may_move[:, :numbers] * normal
                length = np.maximum((ways**2).sum(axis=1), 1e-12)
                inside[:, :numbers] -= (beyond / length)[:, None] * ways
            inside = np.where(may_move, np.clip(inside, low, high), points)
        return inside


@dataclass(frozen=True)
class Ambition:
    """Where objectives should go, for each start.

    Attributes:
        level: Value to reach, shape (starts, metrics).
        scale: Change that counts as one tolerance, shape (metrics,); infinite for targets.
        direction: 1 to minimise, -1 to maximise, shape (metrics,).
    """

    level: Array
    scale: Array
    direction: Array


def solve(
    functions: Paired,
    aims: Aims,
    starts: Array,
    *,
    free: NDArray[np.bool_],
    walls: Walls | None = None,
    ambition: Ambition | None = None,
    limits: tuple[Array, Array] | None = None,
    iterations: int = ITERATIONS,
) -> Array:
    """Return, for each start, a point near which its function meets the goals best.

    Args:
        functions: One for each start.
        aims: The goals.
        starts: Encoded points.
        free: Which coordinates may move, shape (width,) or (starts, width).
        walls: Constraints.
        ambition: What to do about objectives.
        limits: Least and greatest coordinates; [-1, 1] when left out.
        iterations: Steps.

    Returns:
        Encoded points inside the limits, shape of ``starts``.
    """
    low, high = limits if limits is not None else (np.array(-1.0), np.array(1.0))
    may_move = np.broadcast_to(free, starts.shape)
    walls = walls if walls is not None else Walls(np.empty((0, 0)), np.empty(0))
    points = walls.projected(starts, starts, may_move, low, high)
    damping = np.full(len(points), 1e-2)
    residual, slopes = _residual(functions, aims, points, ambition)
    loss = (residual**2).sum(axis=1)
    width = points.shape[1]
    for _ in range(iterations):
        gradient = np.matmul(residual[:, None, :], slopes)[:, 0, :]
        held = ~may_move
        held = held | ((points <= low + 1e-12) & (gradient > 0))
        held = held | ((points >= high - 1e-12) & (gradient < 0))
        normal = np.matmul(slopes.transpose(0, 2, 1), slopes)
        normal[held] = 0.0
        normal.transpose(0, 2, 1)[held] = 0.0
        gradient = np.where(held, 0.0, gradient)
        size = np.trace(normal, axis1=1, axis2=2) / width + 1e-12
        diagonal = np.where(held, 1.0, (damping * size)[:, None])
        normal[:, np.arange(width), np.arange(width)] += diagonal
        step = -np.linalg.solve(normal, gradient[:, :, None])[:, :, 0]
        step = walls.along(points, step, normal, gradient, held, size)
        trial = walls.projected(points, points + step, may_move, low, high)
        new_residual, new_slopes = _residual(functions, aims, trial, ambition)
        new_loss = (new_residual**2).sum(axis=1)
        better = new_loss < loss
        points[better] = trial[better]
        residual[better] = new_residual[better]
        slopes[better] = new_slopes[better]
        settled = better & (loss - new_loss <= 1e-7 * loss + 1e-12)
        loss = np.where(better, new_loss, loss)
        damping = np.clip(np.where(better, damping * 0.2, damping * 6.0), 1e-9, 1e6)
        if np.all(settled | (damping >= 1e6)):
            break
    return points


def _residual(
    functions: Paired, aims: Aims, points: Array, ambition: Ambition | None
) -> tuple[Array, Array]:
    values = functions.paired(points)
    derivative = functions.paired_slopes(points, values)
    residual, by_metric = aims.residual(values)
    if ambition is not None:
        off = ambition.direction * (values - ambition.level) / ambition.scale
        residual = residual + np.maximum(0.0, off)
        by_metric = by_metric + (off > 0) * ambition.direction / ambition.scale
    return residual, by_metric[:, :, None] * derivative
