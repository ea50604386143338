"""What dbt says twice of the same candidate is compared where that costs nothing."""

from __future__ import annotations

from search.driver.engine import _second_answers
from search.scenario.compiled.program import CheckPoint
from search.scenario.outcome import EvaluationRequest, Outcome


def test_another_number_for_the_same_candidate_is_told() -> None:
    first = Outcome(
        request=EvaluationRequest(0, {"x": 1.0}, 7),
        metrics={"v": 2.0, "w": 1.0},
        started_at=0.0,
        seconds=1.0,
    )
    points = [
        CheckPoint({"x": 1.0}, 7, {"v": 2.5, "w": 1.0}),
        CheckPoint({"x": 2.0}, 7, {"v": 9.0, "w": 9.0}),
        CheckPoint({"x": 1.0}, 8, {"v": 9.0, "w": 9.0}),
    ]
    (told,) = _second_answers(first, points, 1)
    assert "not repeatable" in told and "v = 2.5 where dbt gives 2.0" in told
