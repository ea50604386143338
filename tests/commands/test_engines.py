"""One candidate by dbt, by the compiled engine, or by both, which are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from studies import copy_project, dbt_document, write_study

from search.commands.evaluate import evaluate_once
from search.driver.progress import SilentProgress
from search.driver.results import Evaluation
from search.errors import RecordingError
from search.report.summary import evaluation_summary, evaluation_text
from search.study import StudySpec, load_study

pytestmark = pytest.mark.dbt


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudySpec, Path]:
    folder = tmp_path_factory.mktemp("engines")
    project = copy_project("tiny", folder / "project")
    return load_study(write_study(project, dbt_document())), folder / "results"


def evaluate(study: tuple[StudySpec, Path], engine: Any) -> Evaluation:
    spec, results = study
    return evaluate_once(
        spec, assignments=["x=3.5"], from_trial=None, results=results,
        progress=SilentProgress(), engine=engine,
    )  # fmt: skip


def test_both_engines_are_compared(study: tuple[StudySpec, Path]) -> None:
    both = evaluate(study, "both")
    assert both.engine == "compiled"
    assert both.comparison is not None and both.comparison.is_equal
    assert "engine dbt, " in evaluation_text(study[0], both)
    assert evaluation_summary(both)["comparison"]["equal"] is True
    by_dbt = evaluate(study, "dbt")
    assert (by_dbt.engine, by_dbt.comparison) == ("dbt", None)
    assert by_dbt.metrics == both.metrics
    assert evaluate(study, "compiled").engine == "compiled"


def test_what_cannot_be_compiled_is_refused_when_it_is_asked_for(tmp_path: Path) -> None:
    project = copy_project("tiny", tmp_path / "project")
    model = project / "models" / "looks.sql"
    model.write_text("select {{ var('x') * 2 }} as v")
    document = dbt_document(metrics={"v": {"sql": "select v from {{ ref('looks') }}"}})
    spec = load_study(write_study(project, document))
    with pytest.raises(RecordingError, match=r"parameter x \(\* in model\.\w+\.looks\)"):
        evaluate((spec, tmp_path / "results"), "compiled")


def test_a_whole_number_is_taken_as_typed(tmp_path: Path) -> None:
    project = copy_project("tiny", tmp_path / "project")
    (project / "models" / "split.sql").write_text(
        "select 7 // {{ var('x') }} + {{ var('x') }} as v"
    )
    document = dbt_document(metrics={"v": {"sql": "select v from {{ ref('split') }}"}})
    spec = load_study(write_study(project, document))
    for engine in ("both", "dbt"):
        for typed, expected in (("2", 5.0), ("2.0", 5.5)):
            found = evaluate_once(
                spec, assignments=[f"x={typed}"], from_trial=None, results=tmp_path / "results",
                progress=SilentProgress(), engine=engine,
            )  # fmt: skip
            assert found.metrics == {"v": expected}, (engine, typed)
            assert str(found.values["x"]) == typed
            assert found.comparison is None or found.comparison.is_equal


def test_a_project_that_draws_without_a_seed_is_told(tmp_path: Path) -> None:
    project = copy_project("tiny", tmp_path / "project")
    (project / "models" / "drawn.sql").write_text("select random() + {{ var('x') }} as v")
    document = dbt_document(metrics={"v": {"sql": "select v from {{ ref('drawn') }}"}})
    for seed in (None, 4):
        document["scenario"]["seed"] = seed
        spec = load_study(write_study(project, document))
        told = evaluate((spec, tmp_path / "results"), "dbt").warnings
        assert any("random()" in text and "drawn" in text for text in told) is (seed is None)
