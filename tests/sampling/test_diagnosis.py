"""What the model says about targets that can or cannot be met, against known answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from search.sampling.stopping import Assessment
from search.sampling.target import TargetSampler
from search.study.targets import Goal

SPACE: dict[str, BaseDistribution] = {
    "a": FloatDistribution(0.0, 10.0),
    "b": FloatDistribution(0.0, 1.0, step=0.05),
    "c": IntDistribution(0, 20),
}


def metrics(params: Mapping[str, Any]) -> dict[str, float]:
    """Known: left is 100 to 140, right is 50 to 80, and left + right - 150 = 2a + 10b + c."""
    a, b, c = params["a"], params["b"], params["c"]
    return {
        "left": 100 + 2 * a + 0.5 * c + 10 * b,
        "right": 50 + 0.5 * c,
        "gap": 200 + 2 * a - 10 * b,
    }


def search(
    goals: list[Goal], *, iterations: int = 10, batch: int = 4, **options: Any
) -> tuple[optuna.Study, Assessment, int]:
    study = optuna.create_study()
    assessment = Assessment("searching", "")
    for iteration in range(iterations):
        sampler = TargetSampler(goals, **options)
        study.sampler = sampler
        for trial in [study.ask(SPACE) for _ in range(batch)]:
            for name, value in metrics(trial.params).items():
                trial.set_user_attr(f"metric:{name}", value)
            study.tell(trial, 0.0)
        assessment = sampler.assess(study.get_trials(deepcopy=False), batch_size=batch)
        if assessment.should_stop:
            return study, assessment, iteration + 1
    return study, assessment, iterations


def test_a_search_that_hits_is_converged() -> None:
    _, assessment, iterations = search(
        [
            Goal("left", "equal", value=120.0, tolerance=0.005),
            Goal("gap", "at_most", high=209.0),
        ]
    )
    assert assessment.state == "converged" and iterations < 8
    assert assessment.diagnosis is not None and assessment.diagnosis.probability == 1


def test_nothing_is_said_before_anything_is_known() -> None:
    assessment = TargetSampler([Goal("left", "equal", value=1.0)]).assess([])
    assert assessment.state == "searching" and assessment.diagnosis is None


def test_a_target_out_of_range_is_recognised_and_its_range_told() -> None:
    goals = [
        Goal("left", "equal", value=146.0, tolerance=0.005, unit="USD"),
        Goal("right", "at_least", low=52.0),
    ]
    _, assessment, iterations = search(goals)
    assert assessment.state == "unreachable" and iterations <= 8
    diagnosis = assessment.diagnosis
    assert diagnosis is not None
    assert diagnosis.out_of_range == ("left",)
    assert diagnosis.conflicts == ()
    left = diagnosis.ranges[0]
    assert left.alone == pytest.approx((100.0, 140.0), abs=0.5)
    assert not left.is_target_inside and diagnosis.ranges[1].is_target_inside
    assert diagnosis.ranges[1].alone == pytest.approx((50.0, 60.0), abs=0.2)
    # Each parameter pushes left upwards: 5.27 is missing, 2 a unit of a, 0.5 of c, 10 of b.
    bounds = {one.parameter: one for one in diagnosis.bounds}
    assert {one.side for one in bounds.values()} == {"high"}
    assert bounds["a"].is_enough and bounds["a"].relaxed == pytest.approx(12.6, abs=0.3)
    assert bounds["b"].is_enough and bounds["b"].relaxed == pytest.approx(1.55, abs=0.06)
    assert bounds["c"].is_enough and bounds["c"].relaxed == pytest.approx(31, abs=1)
    assert diagnosis.best.metrics["left"] > 138
    text = diagnosis.text()
    for words in ("left can be 100", "upper bound of a (10)", "missed", "USD"):
        assert words in text, text


def test_two_targets_that_contradict_are_named() -> None:
    # Alone each is possible: left 138 needs nearly everything at its top; gap 191 needs a at 0.
    goals = [
        Goal("left", "equal", value=138.0, tolerance=0.002, priority="high", weight=4.0),
        Goal("right", "between", low=50.0, high=60.0),
        Goal("gap", "equal", value=191.0, tolerance=0.002, priority="low", weight=1.0),
    ]
    _, assessment, _ = search(goals)
    assert assessment.state == "unreachable"
    diagnosis = assessment.diagnosis
    assert diagnosis is not None
    assert diagnosis.out_of_range == ()
    assert diagnosis.conflicts == (("left", "gap"),)
    assert "left and gap cannot be met together." in diagnosis.text()
    # With the higher weight, left gives way less, in tolerances.
    off_left = abs(diagnosis.compromise.metrics["left"] - 138.0) / (138.0 * 0.002)
    off_gap = abs(diagnosis.compromise.metrics["gap"] - 191.0) / (191.0 * 0.002)
    assert off_left < off_gap
    gap = diagnosis.ranges[2]
    assert gap.with_others is not None and gap.with_others[0] > 195


def test_constraints_in_the_way_are_told() -> None:
    goals = [Goal("left", "equal", value=138.0, tolerance=0.002)]
    _, assessment, _ = search(goals, margins=lambda values: [values["a"] + values["c"] - 12.0])
    assert assessment.state == "unreachable"
    assert assessment.diagnosis is not None and assessment.diagnosis.is_held_by_constraints
    assert "constraints" in assessment.diagnosis.text()


def test_an_objective_that_is_at_its_end_is_converged() -> None:
    goals = [Goal("left", "equal", value=120.0, tolerance=0.01), Goal("gap", "minimize")]
    study, assessment, iterations = search(goals, iterations=14)
    assert assessment.state == "converged" and iterations < 14
    met = [
        trial.user_attrs["metric:gap"]
        for trial in study.trials
        if abs(trial.user_attrs["metric:left"] / 120 - 1) <= 0.01
    ]
    # b = 1 and c at least 17.6, in whole numbers, leaves a at 0: gap is 190.
    assert min(met) == pytest.approx(190.0, abs=0.3)


def test_sensitivities_are_the_slopes_per_step_with_sign() -> None:
    goals = [Goal("left", "equal", value=120.0), Goal("right", "equal", value=55.0)]
    study, _, _ = search([Goal("left", "equal", value=999.0)], iterations=3)
    found = TargetSampler(goals).sensitivities(
        study.get_trials(deepcopy=False), {"a": 5.0, "b": 1.0, "c": 10}
    )
    assert len(found) == 6
    by_name = {(one.metric, one.parameter): one for one in found}
    left_a, left_b = by_name["left", "a"], by_name["left", "b"]
    assert (left_a.start, left_a.end) == (5.0, 5.1)
    assert left_a.change == pytest.approx(0.2, abs=0.01)
    assert (left_b.start, left_b.end) == (1.0, 0.95)  # no room above
    assert left_b.change == pytest.approx(-0.5, abs=0.02)
    assert by_name["left", "c"].change == pytest.approx(0.5, abs=0.02)
    assert by_name["right", "a"].change == pytest.approx(0.0, abs=0.02)
    assert all(np.isfinite(one.uncertainty) and one.uncertainty < 0.2 for one in found)
