"""The search space as numbers, and back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.sampling.axes import Axis, Box
from search.sampling.history import axes_of
from search.sampling.observed import key_of
from search.sampling.pool import Region, decode, neighbours

SPACES: list[BaseDistribution] = [
    FloatDistribution(0.0, 0.08),
    FloatDistribution(-3.0, 7e5),
    FloatDistribution(0.0, 0.3, step=0.1),
    FloatDistribution(0.0, 0.08, step=0.0005),
    FloatDistribution(1e-6, 1e3, log=True),
    FloatDistribution(2.0, 2.0),
    IntDistribution(58, 70),
    IntDistribution(0, 100, step=25),
    IntDistribution(1, 1000, log=True),
    IntDistribution(3, 3),
    CategoricalDistribution(["january", "july", "anniversary"]),
    CategoricalDistribution([True, False, 1, None, 0.5]),
]
UNITS = st.lists(st.floats(0, 1), min_size=len(SPACES), max_size=len(SPACES))


def box() -> Box:
    return axes_of({f"p{i}": one for i, one in enumerate(SPACES)})


@given(UNITS)
@settings(deadline=None)
def test_a_point_gives_values_of_the_distributions_and_survives_the_way_back(
    units: list[float],
) -> None:
    space = box()
    point = np.array(units)
    point[space.categorical] *= [len(space.axes[i].choices or ()) for i in space.categorical]
    point = space.snap(point[None])[0]
    values = space.values(point)
    for one, value in zip(SPACES, values.values(), strict=True):
        assert one._contains(one.to_internal_repr(value))
    back = space.snap(space.point(values)[None])[0]
    assert key_of(back) == key_of(point)
    again = space.values(back)
    assert again == values
    assert [type(one) for one in again.values()] == [type(one) for one in values.values()]


def test_grid_values_are_the_decimals_that_people_write() -> None:
    axis = axes_of({"x": FloatDistribution(0.0, 0.3, step=0.1)}).axes[0]
    assert [axis.value(k / 3) for k in range(4)] == [0.0, 0.1, 0.2, 0.3]


@given(UNITS)
@settings(deadline=None, max_examples=30)
def test_encoding_can_be_undone(units: list[float]) -> None:
    space = box()
    point = space.snap(np.array(units)[None])
    point[:, space.categorical] = 1.0
    assert np.allclose(decode(space, space.encode(point)), point)


def test_choices_are_told_apart_by_type() -> None:
    axis = axes_of({"x": CategoricalDistribution([True, 1, 1.0, "1"])}).axes[0]
    assert [axis.unit(choice) for choice in (True, 1, 1.0, "1")] == [0.0, 1.0, 2.0, 3.0]


def test_neighbours_are_single_steps_and_other_choices() -> None:
    space = axes_of(
        {
            "age": IntDistribution(58, 70),
            "years": IntDistribution(0, 5),
            "mix": CategoricalDistribution("ab"),
        }
    )
    point = space.snap(space.point({"age": 64, "years": 2, "mix": "a"})[None])[0]
    near = [space.values(one) for one in neighbours(space, point, np.random.default_rng(0), 0.05)]
    for wanted in (
        {"age": 65, "years": 2, "mix": "a"},
        {"age": 64, "years": 1, "mix": "a"},
        {"age": 64, "years": 2, "mix": "b"},
    ):
        assert wanted in near


def test_linear_constraints_become_walls() -> None:
    space = axes_of({"a": FloatDistribution(0.0, 0.08), "b": FloatDistribution(0.0, 0.05)})
    region = Region(space, margins=lambda values: [values["a"] + values["b"] - 0.09])
    walls = region.walls(np.array([[0.2, 0.3], [0.9, 0.9]]))
    assert walls is not None and len(walls.offsets) == 1
    for a, b in ((0.05, 0.04), (0.08, 0.01)):
        encoded = space.encode(space.point({"a": a, "b": b})[None])[0]
        assert abs(walls.normals[0] @ encoded + walls.offsets[0]) < 1e-9
    assert not region.allows(np.array([1.0, 1.0]))
    inside = region.pulled_inside(np.array([[1.0, 1.0]]), np.zeros(2))
    assert region.allows(inside[0]) and inside[0].min() > 0.6


def test_a_fixed_parameter_has_one_value() -> None:
    axis = Axis("x", 2.0, 2.0)
    assert axis.size == 1 and axis.unit(2.0) == 0.0 and axis.value(0.7) == 2.0
