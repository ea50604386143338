"""The model of the metrics, and the step on it, against functions with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from search.sampling.aims import Aims
from search.sampling.axes import Axis, Box
from search.sampling.basis import Basis
from search.sampling.design import farthest, spread_points
from search.sampling.functions import Functions, MetricFunctions
from search.sampling.step import Ambition, Walls, solve
from search.sampling.surrogate import Surrogate
from search.study.targets import Goal


def model_of(function, width: int, count: int, seed: int = 0) -> Surrogate:  # type: ignore[no-untyped-def]
    random = np.random.default_rng(seed)
    points = random.uniform(-1, 1, (count, width))
    return Surrogate(Basis.of(width, random), points, function(points))


def linear(points: np.ndarray) -> np.ndarray:
    slopes = np.arange(1.0, points.shape[1] + 1.0)
    return np.column_stack([5.0 + points @ slopes, -1e9 + 1e7 * points[:, 0]])


def free(width: int) -> np.ndarray:
    return np.ones(width, dtype=bool)


def test_a_linear_metric_is_known_after_a_few_evaluations_more_than_parameters() -> None:
    model = model_of(linear, 6, 12).mean()
    unseen = np.random.default_rng(5).uniform(-1, 1, (50, 6))
    off = model.values(unseen)[0] - linear(unseen)
    assert np.abs(off / linear(unseen).std(axis=0)).max() < 0.05


def test_a_product_is_known_from_its_logarithm() -> None:
    def product(points: np.ndarray) -> np.ndarray:
        return np.prod(1.5 + 0.5 * points, axis=1, keepdims=True)

    model = model_of(product, 6, 20)
    unseen = np.random.default_rng(5).uniform(-0.8, 0.8, (50, 6))
    ratio = model.mean().values(unseen)[0] / product(unseen)
    assert np.abs(np.log(ratio)).std() < 0.06


def test_draws_agree_where_it_was_evaluated_and_differ_elsewhere() -> None:
    random = np.random.default_rng(2)
    points = random.uniform(-1, 1, (6, 4))
    values = np.sin(2 * points.sum(axis=1, keepdims=True))
    model = Surrogate(Basis.of(4, random), points, values)
    draws = model.draw(30, random)
    at_data = draws.values(points)[:, :, 0]
    assert np.abs(at_data - values[:, 0]).mean() < 0.05
    assert draws.values(-points)[:, :, 0].std(axis=0).mean() > 0.1


def test_slopes_are_those_of_the_values_without_jumps() -> None:
    random = np.random.default_rng(3)

    def column(coordinates: list[int], *, is_log: bool) -> MetricFunctions:
        basis = Basis.of(5, random).only(np.array(coordinates))
        weights = 0.1 * random.standard_normal((4, basis.size))
        weights[:, basis.parts[3]] = 0.0
        seen = np.empty((0, len(coordinates)))
        zeros, ones = np.zeros(4), np.ones(4)
        return MetricFunctions(
            basis, np.array(coordinates), weights, zeros, ones, ones == is_log, zeros, seen,
            np.empty((4, 0)),
        )  # fmt: skip

    columns = [
        column([0, 1, 2, 3, 4], is_log=True),
        column([1, 3], is_log=False),
        column([4], is_log=True),
    ]
    functions = Functions(columns, 5)
    points = random.uniform(-1, 1, (4, 5))
    values = functions.paired(points)
    slopes = functions.paired_slopes(points, values)
    for j in range(5):
        moved = points.copy()
        moved[:, j] += 1e-6
        assert np.allclose((functions.paired(moved) - values) / 1e-6, slopes[:, :, j], atol=1e-3)
    every = functions.values(points)
    assert np.allclose(every[np.arange(4), np.arange(4)], values)


def count(points: np.ndarray) -> np.ndarray:
    """Return heads over a bar that two of the parameters move, and a sum that all of them do."""
    bars = np.random.default_rng(1).random(800)
    heads = (bars[None] < 0.4 + 0.2 * points[:, :1] + 0.1 * points[:, 3:4]).sum(axis=1)
    return np.column_stack([heads, points.sum(axis=1)])


def test_what_a_metric_does_not_depend_on_is_found_and_its_jumps_stay() -> None:
    random = np.random.default_rng(8)
    points = random.uniform(-1, 1, (32, 8))
    values = count(points)
    draws = Surrogate(Basis.of(8, random), points, values).draw(40, random)
    assert list(draws.columns[0].coordinates) == [0, 3]
    assert len(draws.columns[1].coordinates) == 8
    moved = points[:6].copy()
    moved[:, [1, 2, 4, 5, 6, 7]] = random.uniform(-1, 1, (6, 6))
    believed = draws.values(moved, has_jumps=True)[:, :, 0]
    assert np.abs(believed - values[:6, 0]).max() < 1e-3 * values[:, 0].std()
    moved[:, 0] *= 0.9
    elsewhere = draws.values(moved, has_jumps=True)[:, :, 0]
    assert elsewhere.std(axis=0).min() > 0.1


def test_too_few_evaluations_leave_nothing_out() -> None:
    random = np.random.default_rng(8)
    points = random.uniform(-1, 1, (10, 8))
    mean = Surrogate(Basis.of(8, random), points, count(points)).mean()
    assert [len(column.coordinates) for column in mean.columns] == [8, 8]


@pytest.mark.parametrize("constant", [0.0, 7.0, -3e12])
def test_a_constant_metric_is_no_trouble(constant: float) -> None:
    model = model_of(lambda points: np.full((len(points), 1), constant), 3, 5)
    values = model.draw(3, np.random.default_rng(0)).values(np.zeros((1, 3)))
    assert values == pytest.approx(constant, rel=1e-6, abs=1e-6)


def test_the_same_candidate_twice_is_no_trouble() -> None:
    points = np.array([[0.1, 0.2]] * 5 + [[0.5, -0.5]])
    model = Surrogate(Basis.of(2, np.random.default_rng(0)), points, linear(points))
    assert np.isfinite(model.mean().values(np.zeros((1, 2)))).all()


def test_the_step_meets_targets_and_stays_inside() -> None:
    functions = model_of(linear, 4, 12).mean()
    goal = Goal("a", "equal", value=12.0, tolerance=0.001)
    aims = Aims.of([goal, Goal("b", "equal", value=-1e9 + 1e7, tolerance=1e-4)])
    starts = np.random.default_rng(0).uniform(-1, 1, (5, 4))
    found = solve(functions.take(np.zeros(5, dtype=int)), aims, starts, free=free(4))
    assert np.abs(found).max() <= 1.0
    assert aims.loss(functions.values(found)[0]).max() == 0


def test_coordinates_that_may_not_move_stay() -> None:
    functions = model_of(linear, 3, 12).mean()
    aims = Aims.of([Goal("a", "equal", value=9.0), Goal("b", "at_most", high=0.0)])
    starts = np.array([[0.3, -0.2, 0.1]])
    moves = np.array([True, False, True])
    found = solve(functions, aims, starts, free=moves)
    assert found[0, 1] == -0.2 and found[0, 0] != 0.3


def test_the_step_follows_a_wall() -> None:
    functions = model_of(linear, 2, 12).mean()
    walls = Walls(np.array([[0.0, 1.0]]), np.array([-0.1]))
    aims = Aims.of([Goal("a", "equal", value=5.6), Goal("b", "at_most", high=0.0)])
    found = solve(functions, aims, np.array([[-1.0, 0.0]]), free=free(2), walls=walls)
    assert found[0, 1] <= 0.1 + 1e-2
    assert aims.loss(functions.values(found)[0])[0] == 0


def test_an_objective_is_pushed_to_its_end() -> None:
    functions = model_of(linear, 3, 12).mean()
    aims = Aims.of([Goal("a", "minimize", value=5.0), Goal("b", "at_most", high=0.0)])
    ambition = Ambition(np.array([[-100.0, 0.0]]), np.array([1.0, np.inf]), np.array([1.0, 0.0]))
    found = solve(functions, aims, np.zeros((1, 3)), free=free(3), ambition=ambition)
    assert np.allclose(found, -1.0)


def test_the_design_spreads_on_the_grid_and_skips_what_is_near() -> None:
    box = Box((Axis("a", 0, 1), Axis("b", 0, 10, 1, True), Axis("c", 0, 1, choices=("x", "y"))))
    points = spread_points(box, np.random.default_rng(1), 64)
    assert np.array_equal(points, spread_points(box, np.random.default_rng(1), 64))
    assert np.array_equal(points, box.snap(points))
    assert len({float(x) for x in points[:, 2]}) == 2
    assert np.ptp(points[:, 0]) > 0.7
    first = farthest(box, points[:1], points)
    assert first[-1] == 0
    assert list(farthest(box, points[:0], points)[:3]) == [0, 1, 2]
