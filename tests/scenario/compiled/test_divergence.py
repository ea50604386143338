"""Where a wrong replay and dbt part ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from studies import copy_project, dbt_document, write_study

from search.driver.engine import divergence_finder, source_of
from search.scenario.compiled.divergence import first_divergence
from search.scenario.compiled.library import Library
from search.scenario.compiled.lifting import Template
from search.scenario.compiled.program import Program
from search.scenario.compiled.program_evaluator import ProgramEvaluatorFactory
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest
from search.scenario.preparation import prepare
from search.scenario.verification import verify
from search.study import StudySpec, load_study
from search.study.space import current_candidate
from search.workers.resources import evaluator_factory, memory_plan, preparation_limits

pytestmark = pytest.mark.dbt


class Compiled:
    """The tiny project with a second model behind the first, compiled."""

    def __init__(self, folder: Path) -> None:
        project = copy_project("tiny", folder / "project")
        (project / "models" / "after.sql").write_text(
            "select result, result * 2 as twice, uuid() as drawn_id from {{ ref('fct_result') }}"
        )
        document = dbt_document(metrics={"v": {"sql": "select twice from {{ ref('after') }}"}})
        self.spec: StudySpec = load_study(write_study(project, document))
        memory = memory_plan(self.spec)
        limits = preparation_limits(self.spec, memory)
        plan = prepare(self.spec, folder / "baselines", limits, report=print).plan
        self.factory: DbtEvaluatorFactory = evaluator_factory(self.spec, plan, memory)
        self.library = Library.of(source_of(self.factory, self.spec), folder / "programs")
        self.program, self.folder = self.library.find_or_compile(
            current_candidate(self.spec), report=print
        )
        self.request = EvaluationRequest(0, current_candidate(self.spec) | {"x": 2.0})


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return Compiled(tmp_path_factory.mktemp("divergence"))


def spoiled(program: Program, model: str, change: Callable[[str], str]) -> Program:
    """Return a program in which the SQL of a model is another one."""
    statements = tuple(
        (one, Template(tuple(map(change, template.pieces)), template.holes))
        if one.node == model and one.effect.kind == "create_table"
        else (one, template)
        for one, template in program.statements
    )
    assert statements != program.statements
    return replace(program, statements=statements)


def test_a_right_replay_differs_in_random_ids_at_most(compiled: Compiled) -> None:
    found = first_divergence(compiled.factory, compiled.program, compiled.folder, compiled.request)
    assert found is not None and found.columns == ("drawn_id",)


def test_the_first_relation_that_differs_is_named_with_its_rows(compiled: Compiled) -> None:
    wrong = spoiled(
        compiled.program, "model.tiny.fct_result", lambda sql: sql.replace("* 10", "* 11")
    )
    found = first_divergence(compiled.factory, wrong, compiled.folder, compiled.request)
    assert found is not None
    assert (found.relation, found.model) == ("main.fct_result", "model.tiny.fct_result")
    assert (found.rows, found.dbt_rows, found.differing) == (1, 1, 2)
    assert found.columns == ("result",)
    assert "1 rows where dbt has 1, 2 rows differ, in result" in found.text()


def test_verification_says_where(compiled: Compiled) -> None:
    finder = divergence_finder(ProgramEvaluatorFactory(compiled.library, "overlay"))
    lines: list[str] = []
    today = current_candidate(compiled.spec)
    found = verify(
        compiled.factory, [compiled.request], [{"v": -1.0}], today, finder, report=lines.append
    )
    assert not found.is_equal
    assert found.differences[0].startswith("v = -1.0 where dbt gives")
    assert "the first relation that differs is main.after" in found.differences[1]
    assert lines[-1] == "looking for the first relation that differs"
