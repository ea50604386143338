"""The decision: the sentence, the sides, what drives it, what breaks it; numbers by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made import COST, findings

from search.study.targets import Goal
from search.views.drivers import breaking_lines, drivers, slopes, walk
from search.views.findings import Findings, PlanView
from search.views.headline import headline, headline_metric
from search.views.outcomes import outcomes, plans_grid, settings
from search.views.repeats import repeated, repeated_grid
from search.views.risk import failing_lines, risk_line


def test_the_sentence_is_in_money_against_today_and_the_target() -> None:
    assert headline(findings()) == (
        "The plan puts cost at 10.02 bn USD: 80 m USD less than today (10.1 bn USD) and 20 m USD "
        "above the target of 10 bn USD (within its ±1 %)."
    )


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        (Goal("cost", "at_most", high=10.1e9, unit="USD"), "80 m USD below the limit of 10.1 bn"),
        (Goal("cost", "at_least", low=10.0e9, unit="USD"), "20 m USD above the floor of 10 bn"),
        (Goal("cost", "between", low=1e9, high=10.1e9, unit="USD"), "below the limit of 10.1 bn"),
        (Goal("cost", "minimize", value=1e9, unit="USD"), "lower is better"),
        (replace(COST, tolerance=0.001), "(outside its ±0.1 %)"),
    ],
)
def test_every_form_of_target_is_told(goal: Goal, words: str) -> None:
    assert words in headline(findings(goals=(goal,)))


def test_a_plan_that_misses_or_is_not_confirmed_is_never_called_one() -> None:
    missed = replace(findings(), goals=(COST, Goal("growth", "at_most", high=0.02)))
    assert headline(missed).startswith("No plan that was tried meets every target. The nearest")
    assert "meets 1 of 2" in headline(missed)
    assert headline(findings(is_verified=False)).startswith("Not confirmed by dbt")
    assert "nothing to recommend" in headline(findings(plan=None))


def test_money_is_told_before_what_has_a_higher_priority() -> None:
    first = replace(findings(), goals=(Goal("growth", "equal", 0.03, weight=9.0), COST))
    assert headline_metric(first) == "cost"
    assert headline_metric(replace(first, units={})) == "growth"


def test_plans_stand_side_by_side() -> None:
    grid = plans_grid(findings())
    assert grid.header == ("", "today", "plan", "alternative 1")
    rows = {row[0]: row[1:] for row in grid.rows}
    assert rows["merit"] == ("4 %", "3 %", "4 %")
    assert rows["cost"] == ("10.1 bn USD", "10.02 bn USD", "10.01 bn USD")
    assert not [name for name in rows if "@" in name]
    moved = {one.name: one.is_moved for one in settings(findings())}
    assert moved["merit"] == (False, True, False) and moved["cola"] == (False, False, True)
    dear = PlanView("dear", 3, {"merit": 0.05}, {"cost": 11e9, "growth": 0.03})
    assert "11 bn USD (missed)" in plans_grid(findings(alternatives=(dear,))).text()


def test_what_comes_out_has_its_range_over_futures() -> None:
    cost, growth = outcomes(findings())
    assert cost.row == [
        "cost", "10 bn USD ±1 %", "10.1 bn USD", "10.02 bn USD", "-80 m USD",
        "9.92 to 10.08 bn USD", "18 of 20", "met",
    ]  # fmt: skip
    assert growth.reach == "-" and growth.is_met is True


def test_effects_are_compared_by_a_hundredth_of_the_range_and_sorted() -> None:
    cost = drivers(findings())["cost"]
    assert [one.parameter for one in cost] == ["merit", "cola", "timing"]
    assert cost[0].effect == pytest.approx(8e6 / 0.001 * 0.0008)
    assert cost[1].effect == pytest.approx(9e6 / 0.001 * 0.0004)
    assert cost[2].effect is None, "an effect of unknown sign has no figure"


def test_the_walk_adds_up_and_keeps_what_it_does_not_know_apart() -> None:
    steps = walk(findings(), "cost")
    assert [step.name for step in steps] == ["merit"]
    assert steps[0].change == pytest.approx(-80e6)
    moved = replace(
        findings(),
        plan=PlanView("plan", 7, {"merit": 0.03, "cola": 0.02, "timing": "july"}, {"cost": 10.0e9}),
    )
    steps = walk(moved, "cost")
    assert [step.name for step in steps] == ["merit", "timing, the rest"]
    assert sum(step.change for step in steps) == pytest.approx(-100e6)


def test_what_breaks_a_target_is_a_move_that_is_allowed() -> None:
    assert slopes(findings(), "cost") == {"merit": pytest.approx(8e9), "cola": pytest.approx(9e9)}
    cost, growth = breaking_lines(findings())
    # 80 m USD to the upper edge; merit moves 1 point for that of 8, cola 0.89 of 4.
    assert cost == (
        "cost goes above 10.1 bn USD when merit rises by about 1 points and nothing else moves."
    )
    assert growth.startswith("growth goes above 3.2 % when merit rises by about 1 points")
    beyond = replace(findings(), goals=(replace(COST, tolerance=0.5),))
    assert breaking_lines(beyond) == []


def test_risk_and_failure_are_told() -> None:
    assert risk_line(findings()).startswith("In 18 of 20 random futures all targets are met")
    assert risk_line(findings()).endswith("Cost is what fails: in 2 of 20.")
    sure = findings(appraisal={}, has_chance=False)
    assert "draws nothing at random" in risk_line(sure)
    assert "search.confirm_seeds" in risk_line(replace(sure, has_chance=True))
    end = PlanView("plan", 7, {"merit": 0.0, "cola": 0.02, "timing": "july"}, {"cost": 10e9})
    lines = failing_lines(findings(plan=end, is_verified=False))
    assert "merit (lower end) stands at the end of the range" in " ".join(lines)
    assert lines[0].startswith("Real dbt does not confirm the plan")


def test_metrics_that_repeat_are_one_path_with_their_targets() -> None:
    goal = Goal("payroll@2027", "at_most", high=5.2e9, unit="USD")
    known = findings(goals=(COST, goal))
    (payroll,) = repeated(known)
    assert [point.sides for point in payroll.points] == [(5e9, 4.9e9, 4.9e9), (5.3e9, 5.1e9, 5.1e9)]
    assert repeated_grid(known, payroll).rows[1] == (
        "2027", "at most 5.2 bn USD", "5.3 bn USD", "5.1 bn USD", "5.1 bn USD",
    )  # fmt: skip
    assert "payroll@2027" in [one.metric for one in outcomes(known)]


def test_a_trail_of_an_earlier_version_says_less_and_fails_nothing() -> None:
    old = {
        "effects": [
            {"metric": "cost", "parameter": "merit", "start": 0.03, "end": 0.031, "modelled": 1e6,
             "evaluated": None}
        ],
        "confirmation": {
            "seeds": [1, 2], "failed": 0, "share_met": 0.5,
            "spreads": [{"metric": "cost", "mean": 1.0, "deviation": 0.0, "p10": 1.0, "p90": 2.0,
                         "share_met": 0.5}],
        },
    }  # fmt: skip
    known: Findings = findings(appraisal=old)
    assert drivers(known)["cost"][0].effect == pytest.approx(8e5)
    assert risk_line(known) == "Under 2 fresh seeds all targets are met in 50 %."
    assert outcomes(known)[0].chance == "-" and known.futures() == []
