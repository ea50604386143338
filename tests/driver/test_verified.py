"""dbt is asked once of a candidate, whatever version of the study it won."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution

from search.driver.results import CompleteTrial
from search.driver.verified import said_before
from search.scenario.outcome import EvaluationRequest, Outcome
from search.scenario.verdict import VERIFIED, DataTests, Verification
from search.storage.attributes import Conclusion, Proposal
from search.storage.database import open_storage
from search.storage.study_store import StudyStore

TODAY = {"x": 1.0}
WINNER = {"x": 2.5}
COST = {"cost": 0.1 + 0.2}


def begun(storage: Any, name: str) -> StudyStore:
    store = StudyStore.create_or_load(storage, name, base_name="pay")
    for iteration, values in enumerate((TODAY, WINNER)):
        (number,) = store.start([Proposal(values, iteration)], {"x": FloatDistribution(0, 9)})
        metrics = COST if values == WINNER else {"cost": 9.0}
        outcome = Outcome(EvaluationRequest(number, values), metrics, started_at=1.0)
        store.finish(number, Conclusion([outcome], values=[1.0], metrics=metrics))
    return store


@pytest.fixture
def second(tmp_path: Path) -> Iterator[StudyStore]:
    """The second version of a study whose winner was verified in the first."""
    storage = open_storage(f"sqlite:///{tmp_path}/study.db")
    said = Verification((), DataTests(passed=("t",)), None, 3.0, scenario="same")
    begun(storage, "pay").set_attributes({VERIFIED: {"1": said.document()}})
    yield begun(storage, "pay-v2")
    storage.engine.dispose()


def winner(values: Any = WINNER, metrics: Any = COST) -> CompleteTrial:
    return CompleteTrial(
        number=4, iteration=2, values=values, metrics=metrics, evaluations=((None, metrics),)
    )


def test_the_same_candidate_of_the_same_scenario(second: StudyStore) -> None:
    found = said_before(second, winner(), TODAY, "same")
    assert found is not None and found[0] == "trial 1 of pay"
    assert found[1].is_verified and found[1].tests.passed == ("t",)


@pytest.mark.parametrize(
    ("best", "today", "scenario"),
    [
        (winner({"x": 2.0}), TODAY, "same"),
        (winner(metrics={"cost": 0.3}), TODAY, "same"),
        (winner(metrics={**COST, "new": 1.0}), TODAY, "same"),
        (winner(), {"x": 1.5}, "same"),
        (winner(), TODAY, "another"),
        (winner(), TODAY, None),
    ],
)
def test_whatever_is_not_the_same_is_asked(
    second: StudyStore, best: CompleteTrial, today: dict[str, float], scenario: str | None
) -> None:
    assert said_before(second, best, today, scenario) is None
