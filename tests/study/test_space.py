"""Parameters and candidates: one form each, exact numbers, and the unit cube round trip."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import SpecError
from search.sampling.history import axes_of
from search.study import StudySpec, study_from_document
from search.study.fingerprint import candidate_key
from search.study.space import (
    TableUpdate,
    canonical,
    constraint_margins,
    constraints_hold,
    current_candidate,
    dbt_vars,
    distributions,
    parse_value,
    proposed,
    table_updates,
    validate_candidate,
)

PARAMETERS: dict[str, Any] = {
    "merit": {
        "low": 0.0,
        "high": 0.3,
        "step": 0.1,
        "current": 0.1,
        "unit": "fraction",
        "bind": {"var": "merit"},
    },
    "age": {"low": 20, "high": 60, "step": 5, "current": 30, "bind": {"var": "age"}},
    "scale": {
        "low": 0.01,
        "high": 10,
        "log": True,
        "current": 1,
        "bind": {"table": "levers", "column": "v", "where": "n = 1"},
    },
    "free": {"low": -1, "high": 3, "current": 0, "bind": [{"var": "free"}, {"var": "free_too"}]},
    "timing": {"choices": ["january", 1, True], "current": 1, "bind": {"var": "timing"}},
}


def make(parameters: dict[str, Any] = PARAMETERS, constraints: tuple[str, ...] = ()) -> StudySpec:
    document = {
        "study": "s",
        "scenario": {"dbt_project": "dbt", "steps": [{"sql": "select 1"}]},
        "parameters": parameters,
        "constraints": list(constraints),
        "metrics": {"m": {"sql": "select 1"}},
        "targets": {"m": {"value": 1}},
    }
    return study_from_document(document, file=Path("s.yaml"))


PARAMETERS["timing"]["choices"] = ["january", 1, "1.5", False]
SPEC = make(constraints=("merit * 100 <= age",))
CURRENT = {"merit": 0.1, "age": 30, "scale": 1.0, "free": 0.0, "timing": 1}


def test_current_candidate_has_the_right_types() -> None:
    current = current_candidate(SPEC)
    assert current == CURRENT
    assert [type(value) for value in current.values()] == [float, int, float, float, int]
    assert list(current) == list(PARAMETERS)


def test_distributions_are_optunas() -> None:
    assert distributions(SPEC) == {
        "merit": optuna.distributions.FloatDistribution(0.0, 0.3, step=0.1),
        "age": optuna.distributions.IntDistribution(20, 60, step=5),
        "scale": optuna.distributions.FloatDistribution(0.01, 10.0, log=True),
        "free": optuna.distributions.FloatDistribution(-1.0, 3.0),
        "timing": optuna.distributions.CategoricalDistribution(["january", 1, "1.5", False]),
    }


def test_canonical_removes_noise_and_keeps_types() -> None:
    noisy = CURRENT | {"merit": 0.1 + 0.2, "age": 30.0, "scale": np.float64(2.5), "timing": 1.0}
    candidate = canonical(SPEC, dict(reversed(noisy.items())))
    assert candidate == CURRENT | {"merit": 0.3, "scale": 2.5}
    assert candidate_key(candidate) == ('{"age":30,"free":0.0,"merit":0.3,"scale":2.5,"timing":1}')
    assert canonical(SPEC, CURRENT | {"age": np.int64(35)})["age"] == 35
    assert canonical(SPEC, CURRENT | {"timing": False})["timing"] is False


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"merit": 0.31}, "between 0.0 and 0.3 fraction"),
        ({"merit": 0.4}, "between 0.0 and 0.3 fraction"),
        ({"age": 15}, "between 20 and 60"),
        ({"free": 3.0000001}, "between -1 and 3"),
        ({"free": float("nan")}, "finite number"),
        ({"free": "1"}, "finite number, but got the text '1'"),
        ({"free": True}, "finite number, but got true"),
        ({"timing": "januar"}, "did you mean `january`"),
        ({"timing": True}, "must be one of january, 1, 1.5, false"),
        ({"timing": 1.5}, "must be one of"),
        ({"merrit": 1}, "did you mean `merit`"),
    ],
)
def test_values_that_are_not_allowed(change: dict[str, Any], says: str) -> None:
    for check in (canonical, validate_candidate):
        with pytest.raises(SpecError) as caught:
            check(SPEC, CURRENT | change)
        assert says in str(caught.value)
        assert caught.value.fields["key"] == next(iter(change))


def test_validation_is_strict_where_canonical_snaps() -> None:
    assert canonical(SPEC, CURRENT | {"merit": 0.14})["merit"] == 0.1
    with pytest.raises(SpecError, match=r"near it are 0\.0, 0\.1, 0\.2"):
        validate_candidate(SPEC, CURRENT | {"merit": 0.14})
    with pytest.raises(SpecError, match="near it are 20, 25$"):
        validate_candidate(SPEC, {"age": 21}, partial=True)
    with pytest.raises(SpecError, match="near it are 25, 30, 35"):
        validate_candidate(SPEC, {"age": 31}, partial=True)
    with pytest.raises(
        SpecError, match=r"`merit \* 100 <= age` must hold, but got merit 0.3, age 20"
    ):
        validate_candidate(SPEC, CURRENT | {"merit": 0.3, "age": 20})
    with pytest.raises(SpecError, match="lacks age, scale"):
        validate_candidate(SPEC, {"merit": 0.1, "free": 0, "timing": 1})
    assert validate_candidate(SPEC, {"merit": 0.3}, partial=True) == {"merit": 0.3}
    assert validate_candidate(SPEC, CURRENT) == CURRENT


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("merit", "0.2", 0.2),
        ("age", " 25 ", 25),
        ("scale", "1e-1", 0.1),
        ("timing", "january", "january"),
        ("timing", "1", 1),
        ("timing", "False", False),
    ],
)
def test_values_typed_by_a_person(name: str, text: str, value: Any) -> None:
    parsed = parse_value(SPEC, name, text)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("merit", "3 percent", "must be a number, but got the text '3 percent'"),
        ("age", "25.5", "must be a whole number"),
        ("age", "26", "near it are"),
        ("scale", "nan", "finite"),
        ("timing", "July", "must be one of"),
        ("agee", "25", "did you mean `age`"),
    ],
)
def test_bad_values_typed_by_a_person(name: str, text: str, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_value(SPEC, name, text)
    assert says in str(caught.value)


def test_values_reach_vars_and_tables() -> None:
    assert dbt_vars(SPEC, CURRENT) == {
        "merit": 0.1,
        "age": 30,
        "free": 0.0,
        "free_too": 0.0,
        "timing": 1,
    }
    assert table_updates(SPEC, CURRENT) == [TableUpdate("levers", "v", "n = 1", 1.0)]


def test_constraints_of_a_candidate() -> None:
    assert constraint_margins(SPEC, CURRENT) == (-20.0,)
    assert constraints_hold(SPEC, CURRENT)
    assert not constraints_hold(SPEC, CURRENT | {"merit": 0.3, "age": 20})


def at(spec: StudySpec, *units: float) -> dict[str, Any]:
    """Return the candidate at a point of the unit cube, as samplers find it."""
    box = axes_of(distributions(spec))
    point = np.array(units)
    point[box.categorical] *= [len(box.axes[i].choices or ()) for i in box.categorical]
    return box.values(box.snap(point[None])[0])


def there_and_back(spec: StudySpec, candidate: Mapping[str, Any]) -> dict[str, Any]:
    box = axes_of(distributions(spec))
    return box.values(box.snap(box.point(candidate)[None])[0])


def test_points_outside_take_the_edge() -> None:
    low, high = at(SPEC, *[-5.0] * 5), at(SPEC, *[5.0] * 5)
    assert low == {"merit": 0.0, "age": 20, "scale": 0.01, "free": -1.0, "timing": "january"}
    assert high == {"merit": 0.3, "age": 60, "scale": 10.0, "free": 3.0, "timing": False}


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_every_point_is_an_allowed_candidate(point: list[float]) -> None:
    candidate = at(SPEC, *point)
    assert canonical(SPEC, candidate) == candidate
    assert validate_candidate(SPEC, candidate, partial=True) == candidate
    for name, distribution in distributions(SPEC).items():
        assert distribution._contains(distribution.to_internal_repr(candidate[name]))
    back = there_and_back(SPEC, candidate)
    for name in ("scale", "free"):
        assert back.pop(name) == pytest.approx(candidate[name], rel=1e-7, abs=1e-7)
    assert back == {k: v for k, v in candidate.items() if k in back}
    assert json.loads(candidate_key(candidate)) == candidate


@given(
    low=st.decimals(-1000, 1000, places=3),
    step=st.decimals("0.001", 50, places=3),
    count=st.integers(1, 400),
    index=st.integers(0, 400),
)
def test_stepped_values_are_exact_decimals(low: Any, step: Any, count: int, index: int) -> None:
    index = min(index, count)
    lever = {"low": float(low), "high": float(low + count * step), "step": float(step)}
    spec = make({"x": lever | {"current": float(low), "bind": {"var": "x"}}})
    exact = float(low + index * step)
    assert canonical(spec, {"x": float(low) + index * float(step)})["x"] == exact or index == count
    assert canonical(spec, {"x": exact}) == {"x": exact}
    assert there_and_back(spec, {"x": exact}) == {"x": exact}
    assert distributions(spec)["x"]._contains(exact)


@given(low=st.integers(-(10**6), 10**6), count=st.integers(1, 10**6), data=st.data())
def test_integers_round_trip(low: int, count: int, data: st.DataObject) -> None:
    step = data.draw(st.integers(1, 100))
    lever = {"low": low, "high": low + count * step, "step": step, "current": low}
    spec = make({"x": lever | {"bind": {"var": "x"}}})
    value = low + step * data.draw(st.integers(0, count))
    assert there_and_back(spec, {"x": value}) == {"x": value}
    assert type(at(spec, 0.3)["x"]) is int


@given(st.integers(1, 10**6), st.integers(2, 10**6), st.floats(0, 1))
def test_logarithmic_integers_stay_whole(low: int, ratio: int, x: float) -> None:
    lever = {"low": low, "high": low * ratio, "log": True, "type": "integer", "current": low}
    spec = make({"x": lever | {"bind": {"var": "x"}}})
    candidate = at(spec, x)
    assert type(candidate["x"]) is int
    assert there_and_back(spec, candidate) == candidate


@given(
    low=st.floats(-1e6, 1e6),
    width=st.floats(1e-3, 1e6),
    share=st.floats(0, 1),
    is_log=st.booleans(),
)
def test_a_proposal_has_few_digits_and_stays_in_its_range(
    low: float, width: float, share: float, is_log: bool
) -> None:
    low = abs(low) + 1e-6 if is_log else low
    high = low + width
    document = {"low": low, "high": high, "log": is_log, "current": low, "bind": {"var": "x"}}
    spec = make({"x": document})
    drawn = min(high, low + share * width)
    value = float(proposed(spec, {"x": drawn})["x"])
    assert low <= value <= high
    assert proposed(spec, {"x": value})["x"] == value  # once is enough
    size = abs(drawn) if is_log else max(abs(low), abs(high))
    assert abs(value - drawn) <= max(1e-9 * size, 0 if is_log else 1e-4 * width)
    if value not in (low, high):
        assert len(Decimal(repr(value)).normalize().as_tuple().digits) <= max(
            11, 6 + math.ceil(math.log10(size / width + 1))
        )
    assert canonical(spec, {"x": drawn})["x"] == drawn  # what a person types is taken as it is


def test_a_stepped_or_whole_proposal_is_the_point_of_its_grid() -> None:
    stepped = {"low": 0.0, "high": 1.0, "step": 0.1, "current": 0.0, "bind": {"var": "x"}}
    whole = {"low": 1, "high": 9, "type": "integer", "current": 1, "bind": {"var": "n"}}
    spec = make({"x": stepped, "n": whole})
    assert proposed(spec, {"x": 0.30000000000000004, "n": 3.0}) == {"x": 0.3, "n": 3}
