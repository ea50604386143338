"""Real dbt says whether a candidate's metrics are right and, apart from it, which tests fail."""

from __future__ import annotations

import pytest
from studies import copy_project, dbt_document, factory_of, load

from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest
from search.scenario.preparation import prepare
from search.scenario.verdict import DataTests, Verification
from search.scenario.verification import verify
from search.workers.resources import memory_plan, preparation_limits

pytestmark = pytest.mark.dbt

TODAY = {"x": 1.0, "rate": 1.0}
TESTS = {
    "below_thirty": "select * from {{ ref('fct_result') }} where result > 30",
    "positive": "select * from {{ ref('fct_result') }} where result < 0",
    "never_right": "select * from {{ ref('fct_result') }}",
    "only_warns": "{{ config(severity='warn') }} select * from {{ ref('fct_result') }}",
    "of_what_is_not_built": "select * from {{ ref('not_built') }}, {{ ref('fct_result') }}",
    "of_what_is_not_built_alone": "select * from {{ ref('not_built') }}",
}


def silent(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> DbtEvaluatorFactory:
    folder = copy_project("tiny", tmp_path_factory.mktemp("study") / "tiny")
    (folder / "models" / "not_built.sql").write_text("select 1 as one")
    (folder / "tests").mkdir()
    for name, sql in TESTS.items():
        (folder / "tests" / f"{name}.sql").write_text(sql)
    steps = [{"dbt": {"command": "run", "select": "fct_result"}}]
    spec = load(folder, dbt_document(scenario={"steps": steps}))
    limits = preparation_limits(spec, memory_plan(spec))
    prepared = prepare(spec, folder / "baselines", limits, report=silent)
    return factory_of(prepared.plan, folder / "scratch")


def verified(factory: DbtEvaluatorFactory, x: float, v: float | None) -> Verification:
    request = EvaluationRequest(3, {"x": x, "rate": 1.0})
    expected = None if v is None else [{"v": v}]
    return verify(factory, [request], expected, TODAY, report=silent)


def test_metrics_and_tests_are_two_facts_and_new_failures_are_told_apart(
    factory: DbtEvaluatorFactory,
) -> None:
    found = verified(factory, 5.0, 51.0)
    assert found.tests == DataTests(
        passed=("only_warns", "positive"),
        failing_today=("never_right",),
        newly_failing=("below_thirty",),
        messages={
            name: "Got 1 result, configured to fail if != 0"
            for name in ("below_thirty", "never_right")
        },
    )
    assert found.is_equal and not found.is_verified
    assert "1 test newly fails: below_thirty (Got 1" in found.text()
    assert "1 test fails for today's values too: never_right" in found.text()
    assert Verification.of_document(found.document()) == found


def test_what_fails_today_as_well_does_not_count_against_a_candidate(
    factory: DbtEvaluatorFactory,
) -> None:
    found = verified(factory, 2.0, 21.0)
    assert found.is_verified and found.tests.failing_today == ("never_right",)
    wrong = verified(factory, 2.0, 99.0)
    assert not wrong.is_equal and not wrong.tests.newly_failing


def test_what_dbt_evaluated_itself_is_tested_and_not_compared(
    factory: DbtEvaluatorFactory,
) -> None:
    found = verified(factory, 5.0, None)
    assert found.is_equal and found.tests.newly_failing == ("below_thirty",)


def test_a_verification_of_an_earlier_version_is_read() -> None:
    old = {"differences": [], "failed_tests": ["a test"], "failure": None, "seconds": 1.5}
    found = Verification.of_document(old)
    assert found.is_equal and not found.is_verified and found.tests.newly_failing == ("a test",)
