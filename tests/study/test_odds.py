"""How likely a plan meets its targets, from what a few seeds tell."""

from __future__ import annotations

import math
import random

import pytest

from search.study.chance import NORMAL, Noise
from search.study.fingerprint import candidate_key
from search.study.normal import box_probability
from search.study.odds import MANY, Odds, Scouted, careful, predictive, room, shares, with_margins
from search.study.targets import Goal, effective, violation

INF = math.inf


def goal(metric: str = "v", probability: float | None = None, tolerance: float = 2.0) -> Goal:
    return Goal(
        metric, "equal", value=10.0, tolerance=tolerance, is_relative_tolerance=False,
        probability=probability,
    )  # fmt: skip


def scouted(x: float, mean: float, *, seeds: int = MANY, searched: float = 10.0) -> Scouted:
    drawn = random.Random(3)
    values = [drawn.gauss(0.0, 1.0) for _ in range(seeds)]
    middle = sum(values) / seeds
    metrics = {str(i): {"v": mean + value - middle} for i, value in enumerate(values)}
    return Scouted(candidate_key({"x": x}), {"v": searched}, metrics)


def test_the_probability_of_a_box_equals_what_is_known() -> None:
    one = NORMAL.cdf(1.5) - NORMAL.cdf(-0.5)
    assert box_probability([0.0], [[1.0]], [-0.5], [1.5]) == pytest.approx(one)
    plain = box_probability([0.0, 1.0], [[1.0, 0.0], [0.0, 4.0]], [-1.0, -1.0], [1.0, INF])
    assert plain == pytest.approx((2 * NORMAL.cdf(1) - 1) * NORMAL.cdf(1), abs=1e-3)
    # Of two metrics that move as one the second adds nothing: independence would say 0.47.
    alike = box_probability([0.0, 0.0], [[1.0, 1.0], [1.0, 1.0]], [-1.0, -2.0], [1.0, 2.0])
    assert alike == pytest.approx(2 * NORMAL.cdf(1) - 1, abs=1e-6)
    quadrant = box_probability([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]], [0.0, 0.0], [INF, INF])
    assert quadrant == pytest.approx(1 / 3, abs=5e-3)


def test_a_plan_is_judged_by_its_own_seeds_and_the_others_by_the_offset() -> None:
    odds = Odds((scouted(0.0, 10.5), scouted(1.0, 12.0)))
    assert odds.noise["v"].offset == pytest.approx(2.0)  # of the plan that may win, not today's
    near = odds.chance([goal()], {"x": 0.0}, {"v": 10.0})
    edge = odds.chance([goal()], {"x": 1.0}, {"v": 10.0})
    assert near > 0.8 > 0.55 > edge
    assert odds.chance([goal()], {"x": 5.0}, {"v": 8.0}) > 0.85  # 8 and the offset are 10
    assert odds.chance([goal()], {"x": 5.0}, {"v": 10.0}) < 0.55


def test_few_seeds_are_believed_less() -> None:
    assert careful(6) > careful(20) > predictive(20) > 1.0
    few, many = (Odds((scouted(0.0, 11.0, seeds=n),)) for n in (6, MANY))
    deviations = [one.noise["v"].deviation for one in (few, many)]
    chances = [one.chance([goal()], {"x": 0.0}, {"v": 10.0}) for one in (few, many)]
    told = [NORMAL.cdf(1 / d) - NORMAL.cdf(-3 / d) for d in deviations]
    assert all(chance < known for chance, known in zip(chances, told, strict=True))


def test_the_room_of_a_window_leaves_the_chance() -> None:
    reach = room(2.0, 1.0, 0.9)
    assert NORMAL.cdf(2.0 - reach) - NORMAL.cdf(-2.0 - reach) == pytest.approx(0.9)
    assert room(1.0, 1.0, 0.9) == 0.0 and room(1.0, 0.0, 0.9) == 1.0


def test_the_target_that_chance_moves_most_may_be_missed_most() -> None:
    noise = {"v": Noise(0.0, 1.0, MANY), "w": Noise(0.0, 0.01, MANY)}
    found = shares([goal("v"), goal("w")], noise)
    assert found["v"] < found["w"]
    assert (1 - found["v"]) + (1 - found["w"]) == pytest.approx(0.2)


def test_a_margin_narrows_a_target_and_keeps_the_unit_of_a_miss() -> None:
    (judged,) = with_margins([goal(probability=0.9)], {"v": Noise(0.5, 0.5, 6)})
    inner = effective(judged)
    assert inner.value == 9.5 and 0 < inner.tolerance < 2.0
    # Two tolerances further off are two violations more, however narrow the target became.
    assert violation(judged, 9.5 + inner.tolerance + 4.0) == pytest.approx(3.0)
    (wide,) = with_margins([goal(probability=0.9)], {"v": Noise(0.0, 9.0, 6)})
    assert effective(wide).tolerance == pytest.approx(0.2)  # not refused before it is known
    (own,) = with_margins([goal(probability=0.9)], {"v": Noise(0.0, 9.0, 6)}, is_own=True)
    assert effective(own).tolerance < 1e-5


def test_odds_survive_their_storage() -> None:
    odds = Odds((scouted(0.0, 10.5, seeds=6),)).adding(scouted(1.0, 12.0))
    again = Odds.of(odds.documents())
    assert again == odds and again.noise == odds.noise
    assert again.seeds_of({"x": 1.0}) == MANY and again.evaluations == 6 + MANY
    assert not Odds()
