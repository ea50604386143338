"""A near miss is put right by few parameters, and what makes jumps is held."""

from __future__ import annotations

import numpy as np
import pytest

from search.sampling.aims import Aims
from search.sampling.axes import Axis, Box
from search.sampling.basis import Basis
from search.sampling.surrogate import Surrogate
from search.sampling.trim import trims
from search.study.targets import Goal

BOX = Box((Axis("growth", 0, 1), Axis("merit", 0, 1), Axis("bonus", 0, 1, 0.05)))
BARS = np.random.default_rng(4).random((2, 60))
GOALS = [
    Goal("heads", "equal", value=30.0, tolerance=0.5, is_relative_tolerance=False),
    Goal("cost", "equal", value=95.0, tolerance=0.002),
]


def simulate(points: np.ndarray) -> np.ndarray:
    """Return heads that one parameter decides, and a cost that all of them move."""
    heads = (BARS[0][None] < points[:, :1]).sum(axis=1)
    lucky = (BARS[1][None] < points[:, :1]).sum(axis=1)
    return np.column_stack([heads, 40 + heads + 0.6 * lucky + 9 * points[:, 1] + 5 * points[:, 2]])


def near_miss() -> tuple[np.ndarray, np.ndarray]:
    """Return evaluations one of which has the heads and not the cost; it comes first."""
    random = np.random.default_rng(1)
    points = BOX.snap(random.random((14, 3)))
    points[0] = np.sort(BARS[0])[29:31].mean(), 0.4, 0.5
    points = BOX.snap(points)
    return points, simulate(points)


def candidates(points: np.ndarray, metrics: np.ndarray) -> np.ndarray:
    model = Surrogate(Basis.of(3, np.random.default_rng(0)), BOX.encode(points), metrics)
    return trims(BOX, Aims.of(GOALS), points, metrics, model.mean())


def test_a_near_miss_is_put_right_in_a_few_rounds() -> None:
    points, metrics = near_miss()
    assert metrics[0, 0] == 30 and abs(metrics[0, 1] / 95 - 1) > 0.01
    for _ in range(5):
        found = candidates(points, metrics)
        assert np.array_equal(found, BOX.snap(found))
        points = np.concatenate([points, found[:2]])
        metrics = np.concatenate([metrics, simulate(found[:2])])
        if Aims.of(GOALS).loss(metrics).min() == 0:
            break
    assert Aims.of(GOALS).loss(metrics).min() == 0


def test_a_parameter_that_turned_out_to_jump_is_not_moved_alone_again() -> None:
    points, metrics = near_miss()
    other = points[0].copy()
    other[1] = 0.5 * (points[0, 1] + 1.0)
    other = BOX.snap(other[None])
    surprise = simulate(other) + np.array([[4.0, -9.0]])
    found = candidates(np.concatenate([points, other]), np.concatenate([metrics, surprise]))
    alone = (found[:, [0, 2]] == points[0, [0, 2]]).all(axis=1)
    assert not alone.any()


@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_what_is_met_or_far_away_is_no_near_miss(shift: float) -> None:
    points, metrics = near_miss()
    metrics = np.tile([30.0 + shift, 95.0 + shift], (len(points), 1))
    assert candidates(points, metrics).shape == (0, 3)
