"""What a page estimates on its own: honest intervals, the plan's own metrics, few numbers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from search.sampling.axes import Axis, Box
from search.sampling.explorer import MOST_POINTS, explorer_of

Array = NDArray[np.float64]
BOX = Box((*(Axis(name, 0.0, 1.0) for name in "abcd"), Axis("e", 0, 1, choices=("x", "y"))))


def company(points: Array) -> Array:
    """Cost by two raises, growth with a bend, heads in whole people."""
    a, b, c, d, e = points.T
    cost = 1e9 * (1 + 0.3 * a + 0.5 * b + 0.2 * a * b + 0.1 * c**2 + 0.05 * e)
    growth = 0.03 + 0.02 * a - 0.01 * b + 0.005 * np.sin(3 * c)
    heads = np.round(20_000 * (1 + 0.1 * d - 0.02 * d**2))
    return np.stack([cost, growth, heads], axis=1)


def drawn(random: np.random.Generator, count: int) -> Array:
    points = random.random((count, 5))
    points[:, 4] = np.round(points[:, 4])
    return points


@pytest.mark.parametrize("count", [16, 60])
def test_intervals_hold_what_was_held_back(count: int) -> None:
    inside = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        points, held_back = drawn(random, count), drawn(random, 50)
        explorer = explorer_of(BOX, points, company(points), points[0])
        _, low, high = explorer.estimate(BOX.encode(held_back))
        truth = company(held_back)
        inside.append(((low <= truth) & (truth <= high)).mean())
    assert 0.85 <= np.mean(inside) <= 0.999


def test_the_plan_is_where_it_was_evaluated() -> None:
    points = drawn(np.random.default_rng(1), 30)
    explorer = explorer_of(BOX, points, company(points), points[7])
    middle, low, high = explorer.estimate(BOX.encode(points[7:8]))
    truth = company(points[7:8])
    assert ((low <= truth) & (truth <= high)).all()
    assert middle == pytest.approx(truth, rel=2e-3)


def test_few_candidates_are_kept_the_nearest_to_the_plan() -> None:
    points = drawn(np.random.default_rng(2), 200)
    explorer = explorer_of(BOX, points, company(points), points[150])
    assert len(explorer.kept) == MOST_POINTS and 150 in explorer.kept
    distances = ((BOX.encode(points) - BOX.encode(points[150:151])) ** 2).sum(axis=1)
    assert set(explorer.kept) == set(np.argsort(distances, kind="stable")[:MOST_POINTS])
