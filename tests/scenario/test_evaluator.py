from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from evaluator_contract import Case, EvaluatorContract
from studies import (
    DBT_STEPS,
    MIB,
    FormulaFactory,
    copy_project,
    dbt_document,
    factory_of,
    load,
    plan_of,
    ten_x_and_rate,
    tiny_document,
)

from search.scenario.compiled.library import Library
from search.scenario.compiled.program_evaluator import ProgramEvaluatorFactory
from search.scenario.compiled.source import Source
from search.scenario.evaluator import DbtEvaluatorFactory, Evaluator
from search.scenario.outcome import EvaluationRequest, Failure, Outcome
from search.scenario.preparation import prepare
from search.study import StudySpec
from search.study.space import current_candidate
from search.workers.resources import memory_plan, preparation_limits

GUARDED = "select case when {{ var('x') }} > 8 then error('x must be at most 8') end"
SQL_STEPS = [
    {"sql": GUARDED},
    {
        "sql": "create or replace table result as"
        " select {{ var('x') }} * 10 + (select value from levers) as v"
    },
]


def request(trial: int, x: float, rate: float = 1.0) -> EvaluationRequest:
    return EvaluationRequest(trial=trial, values={"x": x, "rate": rate})


GOOD = (request(0, 2.0), request(1, 3.5), request(2, 2.0, 4.0))
BAD = request(3, 9.0)


class TestFormulaEvaluator(EvaluatorContract):
    """The evaluator that tests of the driver use."""

    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        return Case(FormulaFactory(ten_x_and_rate), GOOD, BAD, tmp_path / "scratch")


def sql_factory(folder: Path, **changes: Any) -> DbtEvaluatorFactory:
    document = tiny_document(**({"scenario": {"steps": SQL_STEPS}} | changes))
    plan = plan_of(load(folder, document), folder / "baseline" / "tiny.duckdb")
    return factory_of(plan, folder / "scratch")


class TestDbtEvaluatorOnSql(EvaluatorContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        factory = sql_factory(tmp_path)
        return Case(factory, GOOD, BAD, tmp_path / "scratch", factory.plan.baseline)


@pytest.fixture(scope="module")
def tiny_spec(tmp_path_factory: pytest.TempPathFactory) -> StudySpec:
    folder = copy_project("tiny", tmp_path_factory.mktemp("prepared") / "project")
    steps = [{"for_each": {"loop": [1]}, **DBT_STEPS[0]}]
    return load(folder, dbt_document(scenario={"steps": steps}))


@pytest.fixture(scope="module")
def prepared_factory(tiny_spec: StudySpec) -> DbtEvaluatorFactory:
    """A scenario of one dbt model that fails for large x."""
    folder = tiny_spec.file.parent.parent
    limits = preparation_limits(tiny_spec, memory_plan(tiny_spec))
    prepared = prepare(tiny_spec, folder / "baselines", limits, report=lambda line: None)
    return factory_of(prepared.plan, folder / "scratch")


@pytest.mark.dbt
class TestDbtEvaluator(EvaluatorContract):
    @pytest.fixture
    def case(self, prepared_factory: DbtEvaluatorFactory, tmp_path: Path) -> Case:
        factory = replace(prepared_factory, scratch_parent=tmp_path / "scratch")
        scratch, baseline = tmp_path / "scratch", factory.plan.baseline
        return Case(factory, GOOD[1:], BAD, scratch, baseline, "fct_result")


@pytest.mark.dbt
@pytest.mark.parametrize("isolation", ["overlay", "copy"])
class TestProgramEvaluator(EvaluatorContract):
    @pytest.fixture(scope="class")
    def library(self, prepared_factory: DbtEvaluatorFactory, tiny_spec: StudySpec) -> Library:
        programs = tiny_spec.file.parent.parent / "programs"
        library = Library.of(Source(prepared_factory, tiny_spec.parameters, None), programs)
        library.find_or_compile(current_candidate(tiny_spec), report=lambda line: None)
        return library

    @pytest.fixture
    def case(self, library: Library, isolation: str, tmp_path: Path) -> Case:
        scratch = tmp_path / "scratch"
        factory = replace(library.source.factory, scratch_parent=scratch)
        library = replace(library, source=replace(library.source, factory=factory))
        baseline = factory.plan.baseline
        return Case(
            ProgramEvaluatorFactory(library, isolation), GOOD, BAD, scratch, baseline, "fct_result"
        )

    def test_it_is_replayed(self, evaluator: Evaluator, case: Case, isolation: str) -> None:
        outcome = evaluator.evaluate(case.good[0])
        assert (outcome.engine, outcome.isolation) == ("compiled", isolation)
        assert outcome.metrics == {"v": 21.0}


def evaluate(factory: DbtEvaluatorFactory, one: EvaluationRequest = GOOD[0]) -> Outcome:
    evaluator = factory()
    evaluator.open()
    try:
        return evaluator.evaluate(one)
    finally:
        evaluator.close()


def failure_of(factory: DbtEvaluatorFactory, one: EvaluationRequest = GOOD[0]) -> Failure:
    failure = evaluate(factory, one).failure
    assert failure is not None
    return failure


def test_a_metric_that_fails_is_named(tmp_path: Path) -> None:
    factory = sql_factory(tmp_path, metrics={"v": {"sql": "select v from result where v < 0"}})
    failure = failure_of(factory)
    assert (failure.stage, failure.model) == ("metric", "v")
    assert "must yield one row, but yields none" in failure.message


def test_want_of_memory_names_the_setting_to_change(tmp_path: Path) -> None:
    hungry = "create table big as select * from range(30_000_000) order by hash(range)"
    factory = sql_factory(tmp_path, scenario={"steps": [{"sql": hungry}]})
    factory = replace(factory, memory_limit_bytes=16 * MIB, max_temp_bytes=MIB)
    failure = failure_of(factory)
    assert failure.stage == "memory" and failure.step == "steps[0]"
    assert "raise resources.memory_budget or lower resources.workers" in failure.message


def test_settings_in_a_step_do_not_win(tmp_path: Path) -> None:
    greedy = (
        "set memory_limit = '64GB'; set threads = 32; create or replace table result as select"
        " current_setting('threads')::int + (current_setting('memory_limit') <> '256.0 MiB')::int"
        " as v"
    )
    factory = sql_factory(tmp_path, scenario={"steps": [{"sql": greedy}]})
    assert evaluate(factory).metrics == {"v": 1.0}


@pytest.mark.parametrize("allowed", [False, True])
def test_the_authors_sql_reads_files_only_when_allowed(tmp_path: Path, allowed: bool) -> None:
    (tmp_path / "rates.csv").write_text("rate\n3\n")
    sql = f"create or replace table result as select sum(rate) as v from '{tmp_path}/rates.csv'"
    factory = sql_factory(
        tmp_path, scenario={"steps": [{"sql": sql}], "allow_external_access": allowed}
    )
    outcome = evaluate(factory)
    if allowed:
        assert outcome.metrics == {"v": 3.0}
    else:
        assert outcome.failure is not None and outcome.failure.stage == "outside"
        assert "disabled" in outcome.failure.message


def test_metrics_after_each_repetition(tmp_path: Path) -> None:
    step = {
        "for_each": {"loop": [2, 3, 5]},
        "sql": "create or replace table result as select {{ loop }} * {{ var('x') }} as v",
    }
    metrics = {
        "v": None,
        "total": {"sql": "select v from result", "after": "each", "combine": "sum"},
        "own": {"sql": "select v + {{ loop }} from result", "after": "each", "combine": "each"},
    }
    factory = sql_factory(
        tmp_path,
        scenario={"steps": [step]},
        metrics=metrics,
        targets={"v": None, "total": {"at_least": 1}},
    )
    assert evaluate(factory).metrics == {
        "total": 20.0,
        "own@2": 6.0,
        "own@3": 9.0,
        "own@5": 15.0,
    }


def test_a_replications_value_travels_as_its_var(tmp_path: Path) -> None:
    step = {"sql": "create or replace table result as select {{ var('seed') }} as v"}
    factory = sql_factory(
        tmp_path,
        scenario={"steps": [step], "replications": {"var": "seed", "values": [11, 12]}},
    )
    one = EvaluationRequest(trial=0, values=GOOD[0].values, replication=12)
    assert evaluate(factory, one).metrics == {"v": 12.0}


def test_a_baseline_that_is_gone_is_a_failure_of_the_workspace(tmp_path: Path) -> None:
    factory = sql_factory(tmp_path)
    factory.plan.baseline.unlink()
    failure = failure_of(factory)
    assert failure.stage == "workspace" and "cannot copy" in failure.message


def test_sql_steps_need_no_dbt() -> None:
    code = "import sys; import search.scenario.evaluator; sys.exit('dbt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
