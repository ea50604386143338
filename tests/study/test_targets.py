"""Targets: tolerance edges, bounds, the loss and the order of candidates."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from search.errors import SpecError
from search.study import study_from_document
from search.study.ranking import constraint_values, loss, rank_key
from search.study.targets import (
    Goal,
    all_met,
    goals_of,
    is_met,
    objective_goals,
    resolve_goals,
    standing_texts,
    variance,
    variances,
    verdict,
    violation,
)


def goals(targets: dict[str, Any], tolerance: float = 0.02) -> tuple[Goal, ...]:
    document = {
        "study": "s",
        "scenario": {
            "dbt_project": "dbt",
            "steps": [{"sql": "select 1", "for_each": {"year": [2026, 2027]}}],
        },
        "parameters": {"p": {"low": 0, "high": 1, "current": 0, "bind": {"var": "p"}}},
        "metrics": {
            "cost": {"sql": "x", "unit": "USD"},
            "heads": {"sql": "x"},
            "growth": {"sql": "x", "after": "each", "combine": "each"},
        },
        "targets": targets,
        "search": {"tolerance": tolerance},
    }
    return goals_of(study_from_document(document, file=Path("s.yaml")))


COST = Goal("cost", "equal", value=50.0, tolerance=0.02)


def test_goals_follow_the_study_file() -> None:
    cost, first, second, heads = goals(
        {
            "cost": {"value": 50, "tolerance_abs": 3, "priority": "high"},
            "growth": {"at_least": 0.02},
            "heads": {"between": [10, 20], "priority": 3},
        }
    )
    assert cost == Goal(
        "cost",
        "equal",
        value=50.0,
        tolerance=3.0,
        is_relative_tolerance=False,
        weight=4.0,
        priority="high",
        unit="USD",
    )
    assert (first.metric, first.low, first.high, first.tolerance) == ("growth@2026", 0.02, None, 0)
    assert second.metric == "growth@2027"
    assert (heads.low, heads.high, heads.weight, heads.priority) == (10.0, 20.0, 3.0, "3")


def test_each_repetition_has_its_own_value() -> None:
    (only,) = goals({"growth": {"value": {2027: 0.03}}}, tolerance=0.1)
    assert (only.metric, only.value, only.tolerance) == ("growth@2027", 0.03, 0.1)
    (one,) = goals({"growth@2026": {"change": 0.5}})
    assert (one.metric, one.change, one.value) == ("growth@2026", 0.5, None)


def test_change_is_relative_to_today() -> None:
    today = {"cost": 200.0, "heads": -10.0}
    cost, heads = resolve_goals(goals({"cost": {"change": 0.03}, "heads": {"change": 0.1}}), today)
    assert cost.value == pytest.approx(206.0)
    assert heads.value == pytest.approx(-9.0)
    with pytest.raises(SpecError, match="not 0 at the current parameters"):
        resolve_goals(goals({"cost": {"change": 0.03}}), {"cost": 0.0})
    with pytest.raises(ValueError, match="resolved"):
        variance(goals({"cost": {"change": 0.03}})[0], 5.0)


@pytest.mark.parametrize(
    ("goal", "value", "expected_variance", "expected_violation"),
    [
        (COST, 50, 0, 0),
        (COST, 51, 0.02, 1),
        (COST, 49, -0.02, 1),
        (COST, 52, 0.04, 2),
        (Goal("m", "equal", value=-50.0, tolerance=0.02), -51, -0.02, 1),
        (Goal("m", "equal", value=0.0, tolerance=2.0, is_relative_tolerance=False), 3, 3, 1.5),
        (Goal("m", "at_most", high=10.0, tolerance=0.0), 10, 0, 0),
        (Goal("m", "at_most", high=10.0, tolerance=0.0), 3, 0, 0),
        (Goal("m", "at_most", high=10.0, tolerance=0.0), 10.2, 0.02, 2),
        (Goal("m", "at_most", high=10.0, tolerance=0.1), 10.5, 0.05, 0.5),
        (Goal("m", "at_least", low=10.0, tolerance=0.1), 8, -0.2, 2),
        (Goal("m", "at_most", high=0.0, tolerance=0.0), 0.02, 0.02, 2),
        (Goal("m", "between", low=1.0, high=2.0, tolerance=0.0), 1.5, 0, 0),
        (Goal("m", "between", low=1.0, high=2.0, tolerance=0.5), 0.75, -0.25, 0.5),
        (Goal("m", "minimize"), 7, 0, 0),
    ],
)
def test_variance_and_violation(
    goal: Goal, value: float, expected_variance: float, expected_violation: float
) -> None:
    assert variance(goal, value) == pytest.approx(expected_variance)
    assert violation(goal, value) == pytest.approx(expected_violation)


def test_the_edge_of_tolerance_is_met() -> None:
    for target in (50.0, 0.07, 1e8, 1e-9, 3.3):
        for tolerance in (0.02, 0.1, 0.005):
            goal = Goal("m", "equal", value=target, tolerance=tolerance)
            assert is_met(goal, target * (1 + tolerance))
            assert is_met(goal, target * (1 - tolerance))
            assert not is_met(goal, target * (1 + tolerance * 1.0001))


def test_a_bound_without_tolerance_is_strict() -> None:
    goal = Goal("m", "at_most", high=10.0, tolerance=0.0)
    assert is_met(goal, 10.0)
    assert not is_met(goal, math.nextafter(10.0, 11.0))
    assert not is_met(Goal("m", "at_most", high=0.0, tolerance=0.0), 1e-300)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_metrics_must_be_finite(value: float) -> None:
    for function in (variance, violation, is_met, verdict):
        with pytest.raises(ValueError, match="must be finite"):
            function(COST, value)
    for whole in (variances, all_met, loss, rank_key, constraint_values):
        with pytest.raises(ValueError, match="must be finite"):
            whole([COST], {"cost": value})
        with pytest.raises(ValueError, match="must have 'cost'"):
            whole([COST], {"other": 1.0})


def test_verdicts_are_words_for_people() -> None:
    usd = Goal("m", "equal", value=5e7, tolerance=0.02, unit="USD")
    assert verdict(usd, 52_345_678.0) == (
        "missed: 52,345,678 USD is +4.69 % from 50,000,000 USD (allowed 2 %)"
    )
    assert verdict(Goal("m", "at_most", high=0.05), 0.0312) == "met: 0.0312 is at most 0.05"
    assert verdict(Goal("m", "minimize"), 3.0) == "minimize: 3"
    zero = Goal("m", "equal", value=0.0, tolerance=1.0, is_relative_tolerance=False)
    assert verdict(zero, 0.5) == "met: 0.5 is +0.5 from 0 (allowed 1)"


numbers = st.floats(-1e300, 1e300)
kinds = st.sampled_from(["equal", "at_most", "at_least", "between", "minimize", "maximize"])


def test_where_metrics_stand_is_shown_with_units() -> None:
    balance = Goal("balance", "equal", value=0.0, tolerance=5.0, unit="USD")
    pay = Goal("pay", "maximize", value=40.0, unit="USD")
    growth = Goal("growth", "minimize", value=0.1, unit="fraction")
    metrics = {"cost": 51.0, "balance": -20.0, "pay": 43210.0, "growth": 0.025}
    assert standing_texts((COST, balance, pay, growth), metrics) == {
        "cost": "+2.00 %",
        "balance": "-20 USD",
        "pay": "43,210 USD",
        "growth": "2.5 %",
    }


@st.composite
def any_goal(draw: st.DrawFn, name: str = "m") -> Goal:
    kind = draw(kinds)
    low, high = sorted((draw(numbers), draw(numbers)))
    is_relative = draw(st.booleans()) and low != 0 and high != 0
    return Goal(
        name,
        kind,
        value=low if kind in ("equal", "minimize", "maximize") else None,
        low=low if kind in ("at_least", "between") else None,
        high=high if kind in ("at_most", "between") else None,
        tolerance=draw(st.floats(1e-6, 1e3)) if kind == "equal" else draw(st.floats(0, 1e3)),
        is_relative_tolerance=is_relative,
        weight=draw(st.floats(1e-3, 1e6)),
    )


def test_a_bound_next_to_zero_is_no_division_by_zero() -> None:
    assert violation(Goal("m", "at_most", high=5e-324, tolerance=0.0), 1.0) == 1e140


@given(st.lists(any_goal(), min_size=1, max_size=5), numbers)
def test_loss_is_finite_and_zero_exactly_when_all_is_met(some: list[Goal], value: float) -> None:
    metrics = {"m": value}
    try:
        total = loss(some, metrics)
    except ValueError:
        assume(False)
    assert math.isfinite(total) and total >= 0
    if objective_goals(some):
        assert (total < 1) == all_met(some, metrics) or total == 1
    else:
        met = all_met(some, metrics)
        assert total == 0 if met else total >= 0
        worst = max(violation(goal, value) for goal in some)
        assert met == (worst <= 1)
    assert all(map(math.isfinite, rank_key(some, metrics)))
    wanted = {goal.metric for goal in some if not goal.is_objective}
    assert constraint_values(some, metrics).keys() == wanted


@given(st.floats(1, 1e6), st.floats(0, 0.5), st.floats(0, 0.5))
def test_loss_grows_with_distance(target: float, near: float, far: float) -> None:
    near, far = sorted((near, far))
    goal = [Goal("m", "equal", value=target, tolerance=0.02)]
    close, away = ({"m": target * (1 + by)} for by in (near, far))
    assert loss(goal, close) <= loss(goal, away)
    assert rank_key(goal, close) <= rank_key(goal, away)


def test_loss_is_continuous_at_the_edge() -> None:
    assert loss([COST], {"cost": 51.0}) == 0
    assert 0 < loss([COST], {"cost": 51.0001}) < 1e-6


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_objective_orders_candidates_that_meet_all(today: float, one: float, two: float) -> None:
    assume(abs(one - two) > 1e-6 + 1e-3 * max(abs(one), abs(two), abs(today)))
    for kind, sign in (("minimize", 1), ("maximize", -1)):
        both = (COST, Goal("m", kind, value=today))  # type: ignore[arg-type]
        better, worse = sorted((one, two), key=lambda value: sign * value)
        good = {"cost": 50.0, "m": better}
        assert loss(both, good) < loss(both, {"cost": 50.0, "m": worse})
        assert rank_key(both, good) < rank_key(both, {"cost": 50.0, "m": worse})
        assert loss(both, {"cost": 50.9, "m": worse}) < loss(both, {"cost": 51.1, "m": better})


def test_best_is_met_first_then_objective_then_distance() -> None:
    both = (COST, Goal("m", "minimize", value=10.0))
    met_dear, met_cheap = {"cost": 50.9, "m": 9.0}, {"cost": 50.9, "m": 5.0}
    met_cheap_close, missed = {"cost": 50.1, "m": 5.0}, {"cost": 55.0, "m": 1.0}
    candidates = [missed, met_dear, met_cheap, met_cheap_close]
    ordered = sorted(candidates, key=lambda metrics: rank_key(both, metrics))
    assert ordered == [met_cheap_close, met_cheap, met_dear, missed]


def test_weights_decide_between_compromises() -> None:
    some = goals(
        {"cost": {"value": 100, "priority": "high"}, "heads": {"value": 100, "priority": "low"}}
    )
    assert loss(some, {"cost": 100, "heads": 110}) < loss(some, {"cost": 110, "heads": 100})
    assert variances(some, {"cost": 101, "heads": 95}) == pytest.approx(
        {"cost": 0.01, "heads": -0.05}
    )
    assert not all_met(some, {"cost": 101, "heads": 95})
    assert all_met(some, {"cost": 101, "heads": 99})
    assert constraint_values(some, {"cost": 102, "heads": 96}) == pytest.approx(
        {"cost": 0, "heads": 1}
    )
