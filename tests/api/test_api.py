"""``import search``: a study loaded, run and read from Python, as a stranger would."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

import search
from search.api.results import _html_table
from search.errors import ArgumentError, AuditError, SpecError
from search.views.grid import Grid


@pytest.fixture
def ran(tiny: Callable[..., Path], without_children: None) -> tuple[search.StudyResult, list[str]]:
    """The tiny study, run by the API, and the lines that it told."""
    file = tiny()
    lines: list[str] = []
    study = search.load_study(file, set={"search.max_iterations": 2, "search.batch_size": 3})
    result = search.run_study(study, results=file.parent / "results", on_progress=lines.append)
    return result, lines


@pytest.mark.dbt
def test_a_study_is_run_and_read(ran: tuple[search.StudyResult, list[str]]) -> None:
    result, lines = ran
    assert any("iteration 1: trial 1 done" in line for line in lines)
    best = result.best
    assert best is not None and set(best.parameters) == {"x", "rate"}
    assert best.metrics["v"] == pytest.approx(
        10 * float(best.parameters["x"]) + float(best.parameters["rate"]), abs=1e-9
    )
    (target,) = result.targets
    assert (target.metric, target.wanted) == ("v", 55.0)
    assert target.variance == pytest.approx(best.metrics["v"] / 55 - 1)
    trials = result.trials
    assert trials.columns[:3] == ["study", "trial", "iteration"]
    for trial, x, rate, v in trials.select("trial, x, rate, v").fetchall():
        assert v == pytest.approx(10 * x + rate, abs=1e-9), trial
    shown = result._repr_html_()
    assert "<td>v</td>" in shown and "<script" not in shown
    for other in result.alternatives:
        assert other.trial != best.trial and set(other.parameters) == {"x", "rate"}
    assert result.study in repr(result)
    assert search.open_results(result.folder) == search.StudyResult(
        result.study, result.folder, result.is_converged, result.reason
    )


@pytest.mark.dbt
def test_one_candidate_is_evaluated(tiny: Callable[..., Path], without_children: None) -> None:
    study = search.load_study(tiny())
    results = study.file.parent / "results"
    evaluation = search.evaluate(study, {"x": 2.5}, results=results)
    assert evaluation.metrics == {"v": 26.0}
    with pytest.raises(SpecError, match="nothing.*x"):
        search.evaluate(study, {"nothing": 1}, results=results)
    with pytest.raises(SpecError, match="x"):
        search.evaluate(study, {"x": "many"}, results=results)


def test_a_mistake_is_an_exception_with_its_place(tiny: Callable[..., Path]) -> None:
    with pytest.raises(SpecError, match="search.samplr.*did you mean"):
        search.load_study(tiny(), set={"search.samplr": "tpe"})


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda s: search.load_study(5), "path must be a path, but got 5 (int)"),
        (lambda s: search.load_study(s.file, set=["x"]), "set must be a dict"),
        (lambda s: search.load_study(s.file, vars={1: 2}), "vars must be a dict"),
        (lambda s: search.load_study(s.file, set={"search.seed": {1, 2}}), "that YAML can hold"),
        (lambda s: search.run_study("study.yaml"), "search.load_study('study.yaml')"),
        (lambda s: search.run_study(None), "must be what search.load_study returns"),
        (lambda s: search.run_study(s, results=3), "results must be a path"),
        (lambda s: search.run_study(s, on_progress="print"), "a function that takes a line"),
        (lambda s: search.evaluate(s, [("x", 1)]), "values must be a dict"),
        (lambda s: search.evaluate(s, {"x": None}), "the value of x must be a number"),
        (lambda s: search.compare(s, 3), "named by a text such as 'best'"),
        (lambda s: search.open_results(None), "folder must be a path"),
    ],
)
def test_what_is_of_the_wrong_kind_is_named(
    tiny: Callable[..., Path], call: Callable[[Any], Any], told: str
) -> None:
    with pytest.raises(ArgumentError, match=re.escape(told)) as refused:
        call(search.load_study(tiny()))
    assert refused.value.code == "argument"


def test_values_keep_their_kind(tiny: Callable[..., Path]) -> None:
    """What YAML would read otherwise, a path, and a number of numpy's."""
    given = {"a": "yes", "b": "2026", "c": Path("data/x.csv"), "d": numpy.float64(0.1), "e": ""}
    study = search.load_study(tiny(), vars=given | {"f": [1, "two"], "g": True})
    assert study.scenario.vars == {
        "a": "yes", "b": "2026", "c": "data/x.csv", "d": 0.1, "e": "", "f": [1, "two"], "g": True,
    }  # fmt: skip


def test_a_result_is_text_whatever_things_are_called() -> None:
    grid = Grid(("<b>",), (("<script>alert(1)</script>",),))
    assert "<script" not in _html_table(grid) and "&lt;b&gt;" in _html_table(grid)


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=str(tmp_path)):
        search.open_results(tmp_path)


def test_every_public_name_is_there_and_no_other() -> None:
    for name in search.__all__:
        assert getattr(search, name) is not None, name
    with pytest.raises(AttributeError, match="load_study"):
        search.load_studies  # noqa: B018


def test_importing_it_loads_nothing() -> None:
    code = "import sys, search; print([m for m in sys.modules if m.startswith('search.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
