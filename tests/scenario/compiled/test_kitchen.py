"""A dbt project with most of what dbt-duckdb can do equals dbt, on both workspaces.

Merge, delete+insert and append, snapshots, hooks that change data, a macro and a table made
by on-run-start, an insert on-run-end, contracts, an index, quoted schema and names, a table
bind, plain SQL between the steps, metrics after each repetition, a var in an ``if`` and one
in a loop.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from dbt_scenario import by_dbt, by_replay, silent

from search.driver.engine import dead_parameters, prepare_engine, source_of
from search.errors import SpecError
from search.scenario.compiled.explanation import HOISTED, REPLAYED, SLICED, explain
from search.scenario.compiled.library import Library
from search.scenario.compiled.program import Program
from search.scenario.compiled.program_evaluator import ProgramEvaluatorFactory
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest
from search.scenario.preparation import prepare
from search.scenario.setting import PreparationLimits
from search.study import StudySpec, load_study
from search.study.space import current_candidate

pytestmark = pytest.mark.dbt
PROJECT = Path(__file__).parents[2] / "projects" / "kitchen"


@dataclass(frozen=True)
class Kitchen:
    """The project, prepared and compiled."""

    folder: Path
    spec: StudySpec
    factory: DbtEvaluatorFactory
    library: Library
    program: Program


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Kitchen:
    folder = tmp_path_factory.mktemp("kitchen")
    shutil.copytree(PROJECT, folder, dirs_exist_ok=True)
    # `label` reaches only a model that no metric reads.
    study = folder / "study.yml"
    label = "  label: {choices: [plain, odd], current: plain, bind: {var: label}}\n"
    study.write_text(study.read_text().replace("parameters:\n", "parameters:\n" + label))
    spec = load_study(study)
    limits = PreparationLimits(512 * 2**20, 2**30, 1, folder / "scratch")
    prepared = prepare(spec, folder / "results" / "baselines", limits, report=silent)
    factory = DbtEvaluatorFactory(
        prepared.plan,
        memory_limit_bytes=512 * 2**20,
        max_temp_bytes=2**30,
        threads=1,
        scratch_parent=folder / "scratch",
    )
    library = Library.of(source_of(factory, spec), folder / "results" / "programs")
    program, _ = library.find_or_compile(current_candidate(spec), report=silent)
    return Kitchen(folder, spec, factory, library, program)


def test_replay_equals_dbt_on_both_workspaces(kitchen: Kitchen) -> None:
    start = current_candidate(kitchen.spec)
    candidates = [
        start | {"rate": 0.4375, "shift": 0.75, "tip": 0.0},
        start | {"rate": 1e-05, "shift": -1.0, "mode": "short", "depth": 3, "tip": 0.2},
    ]
    expected = by_dbt(kitchen.factory, candidates)
    assert by_replay(kitchen.library, candidates) == [[one, one] for one in expected]


def test_files_that_were_brought_elsewhere_give_the_same(kitchen: Kitchen, tmp_path: Path) -> None:
    """As on a node that does not see the driver's files; seeds are loaded by their path."""
    factory = ProgramEvaluatorFactory(kitchen.library, "overlay")
    request = EvaluationRequest(0, current_candidate(kitchen.spec) | {"rate": 0.4375})
    folders = {}
    for one in factory.belongings():
        folders[one.name] = tmp_path / one.name
        for name in one.files:
            (tmp_path / one.name / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(one.folder / name, tmp_path / one.name / name)
    assert set(folders) == {"baseline", "project", "programs"}
    here, there = factory(), factory.moved(folders)()
    expected = here.evaluate(request)
    here.close()
    hidden = [kitchen.folder / "seeds", kitchen.library.folder, kitchen.factory.plan.baseline]
    for path in hidden:
        path.rename(path.with_name(f"{path.name}.hidden"))
    try:
        outcome = there.evaluate(request)
    finally:
        there.close()
        for path in hidden:
            path.with_name(f"{path.name}.hidden").rename(path)
    assert outcome.failure is None and outcome.metrics == expected.metrics
    assert (outcome.engine, expected.engine) == ("compiled", "compiled")


def test_what_decides_the_statements_has_programs_of_its_own(kitchen: Kitchen) -> None:
    assert kitchen.library.fixed() == ("depth", "mode")


def test_each_statement_runs_where_it_must(kitchen: Kitchen) -> None:
    fates: dict[str, set[str]] = {}
    for one in explain(kitchen.program, {}):
        if one.fate in (REPLAYED, HOISTED, SLICED):
            fates.setdefault(one.node.split(".")[-1], set()).add(one.fate)
    assert HOISTED in fates["orders"] and REPLAYED not in fates["orders"]
    assert fates["unused"] == {SLICED}
    assert REPLAYED in fates["bills"]


def test_no_setting_of_a_hook_reaches_a_replay(kitchen: Kitchen) -> None:
    assert not [one for one, _ in kitchen.program.statements if "threads" in one.sql.lower()]


def test_a_parameter_that_reaches_no_metric_is_refused_with_its_place(kitchen: Kitchen) -> None:
    fixed = kitchen.library.fixed() or ()
    assert dead_parameters(kitchen.program, fixed, kitchen.factory) == {"label": "label"}
    programs = kitchen.folder / "results" / "programs"
    with pytest.raises(SpecError, match=r"no metric depends on it.*read in .*unused\.sql"):
        prepare_engine(kitchen.factory, kitchen.spec, programs, report=silent)


def test_a_dead_parameter_may_be_allowed(kitchen: Kitchen) -> None:
    search = kitchen.spec.search.model_copy(update={"allow_dead_parameters": True})
    spec = kitchen.spec.model_copy(update={"search": search})
    programs = kitchen.folder / "results" / "programs"
    engine = prepare_engine(kitchen.factory, spec, programs, report=silent)
    assert (engine.name, engine.isolation) == ("compiled", "overlay")
    assert any("label moves no metric" in one for one in engine.warnings)
