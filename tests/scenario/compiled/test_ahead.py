"""The recording made elsewhere is the one that would be made here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from dbt_scenario import Mini
from studies import copy_project, dbt_document, write_study

from search.driver.engine import source_of
from search.errors import WorkerError
from search.scenario.compiled.library import Library
from search.scenario.compiled.recording import record_once
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest
from search.scenario.preparation import prepare
from search.study import StudySpec, load_study
from search.study.space import current_candidate
from search.system.ahead import Ahead
from search.workers.resources import evaluator_factory, memory_plan, preparation_limits

pytestmark = pytest.mark.dbt


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudySpec, DbtEvaluatorFactory]:
    folder = tmp_path_factory.mktemp("ahead")
    project = copy_project("tiny", folder / "project")
    spec = load_study(write_study(project, dbt_document()))
    memory = memory_plan(spec)
    plan = prepare(
        spec, folder / "baselines", preparation_limits(spec, memory), report=lambda _: None
    ).plan
    return spec, evaluator_factory(spec, plan, memory)


def test_it_records_what_this_process_records(
    prepared: tuple[StudySpec, DbtEvaluatorFactory],
) -> None:
    spec, factory = prepared
    request = EvaluationRequest(0, current_candidate(spec) | {"x": 3.5})
    with Ahead(record_once, factory, request) as ahead:
        here = record_once(factory, request, report=lambda _: None)
        elsewhere = ahead.result()
    assert elsewhere.metrics == here.metrics
    assert [one.node for one in elsewhere.statements] == [one.node for one in here.statements]
    assert len(elsewhere.statements) > 0


def test_left_early_it_ends_its_process(
    prepared: tuple[StudySpec, DbtEvaluatorFactory],
) -> None:
    spec, factory = prepared
    before = set(psutil.Process().children(recursive=True))
    began = time.monotonic()
    with Ahead(record_once, factory, EvaluationRequest(0, current_candidate(spec))) as ahead:
        while not set(psutil.Process().children(recursive=True)) - before:
            time.sleep(0.01)
    assert set(psutil.Process().children(recursive=True)) <= before
    assert time.monotonic() - began < 8
    with pytest.raises(WorkerError, match="not needed"):
        ahead.result()


def test_two_recorders_make_the_program_that_one_makes(
    prepared: tuple[StudySpec, DbtEvaluatorFactory], tmp_path: Path
) -> None:
    spec, factory = prepared
    programs = []
    for recorders in (1, 2):
        lines: list[str] = []
        report: Callable[[str], None] = lines.append
        library = Library.of(source_of(factory, spec, recorders), tmp_path / str(recorders))
        program, _ = library.find_or_compile(current_candidate(spec), report=report)
        assert any("at the same time" in line for line in lines) is (recorders == 2)
        (counted,) = (line for line in lines if "recorded statements" in line)
        total, replayed, once = map(int, re.findall(r"\d+", counted))
        assert 0 < replayed + once <= total
        programs.append(program)
    one, two = programs
    assert [template for _, template in one.statements] == [t for _, t in two.statements]
    assert [check.metrics for check in one.checks] == [check.metrics for check in two.checks]


def test_the_next_node_is_chosen_when_the_one_before_has_ended(tmp_path: Path) -> None:
    """Chosen while `b` runs it would be `z`: two recordings might have other orders."""
    slow = "select count(*) as n from range(100000000) where range % 7 > {{ var('x') }}"
    mini = Mini(
        tmp_path,
        {
            "a.sql": "{{ config(materialized='table') }} select {{ var('x') }} as n",
            "b.sql": "{{ config(materialized='table') }} " + slow,
            "c.sql": "{{ config(materialized='table') }} select n from {{ ref('b') }}",
            "z.sql": "{{ config(materialized='table') }} select n from {{ ref('a') }}",
        },
        {"x": {"low": 1.0, "high": 5.0, "current": 3.0}},
        {"n": "select sum(c.n + z.n) from c, z"},
    )
    recording = record_once(mini.factory, EvaluationRequest(0, {"x": 3.0}), report=lambda _: None)
    nodes = [one.node for one in recording.statements if one.node is not None]
    assert list(dict.fromkeys(nodes)) == [f"model.mini.{name}" for name in "abcz"]
