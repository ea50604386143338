"""A data test of ``dbt build`` that fails for a candidate fails it, in both engines alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from studies import copy_project, dbt_document, factory_of, load

from search.driver.engine import prepare_engine
from search.scenario.evaluator import DbtEvaluatorFactory, Evaluator
from search.scenario.outcome import EvaluationRequest, Outcome
from search.scenario.preparation import prepare
from search.study import StudySpec
from search.workers.resources import memory_plan, preparation_limits

pytestmark = pytest.mark.dbt

TESTS = {
    "below_thirty": "select * from {{ ref('fct_result') }} where result > 30",
    "fails_at_two": "{{ config(error_if='> 1') }} select unnest(range({{ var('y') }}::int)) as one"
    " from {{ ref('fct_result') }}",
    "only_warns": "{{ config(severity='warn') }} select * from {{ ref('fct_result') }}",
    "of_no_parameter": "select 1 where 1 = 0",
}


def silent(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudySpec, DbtEvaluatorFactory]:
    folder = copy_project("tiny", tmp_path_factory.mktemp("study") / "tiny")
    (folder / "tests").mkdir()
    for name, sql in TESTS.items():
        (folder / "tests" / f"{name}.sql").write_text(sql)
    document = dbt_document(
        scenario={"steps": [{"dbt": {"command": "build"}}]},
        parameters={"x": {"high": 2.5}, "rate": {"low": 1.0, "high": 1.4}},
        resources={"engine": "compiled"},
    )
    spec = load(folder, document)
    limits = preparation_limits(spec, memory_plan(spec))
    plan = prepare(spec, folder / "baselines", limits, report=silent).plan
    return spec, factory_of(plan, folder / "scratch")


@pytest.fixture(scope="module")
def engines(
    prepared: tuple[StudySpec, DbtEvaluatorFactory], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Evaluator, Evaluator]]:
    spec, reference = prepared
    programs: Path = tmp_path_factory.mktemp("programs")
    engine = prepare_engine(reference, spec, programs, report=silent)
    assert engine.name == "compiled"
    both = reference(), engine.factory()
    for one in both:
        one.open()
    yield both
    for one in both:
        one.close()


@pytest.mark.parametrize(
    ("values", "test"),
    [
        ({"x": 2.0, "rate": 1.0}, None),
        ({"x": 3.5, "rate": 1.0}, "below_thirty"),
        ({"x": 2.0, "rate": 2.0}, "fails_at_two"),
    ],
)
def test_both_engines_say_the_same(
    engines: tuple[Evaluator, Evaluator], values: dict[str, float], test: str | None
) -> None:
    outcomes: list[Outcome] = [one.evaluate(EvaluationRequest(0, values)) for one in engines]
    by_dbt, replayed = outcomes
    assert replayed.engine == "compiled"
    assert by_dbt.metrics == replayed.metrics
    if test is None:
        assert by_dbt.failure is None and replayed.failure is None
        return
    assert by_dbt.failure is not None and replayed.failure is not None
    assert test in str(by_dbt.failure.model)
    assert replayed.failure == by_dbt.failure
