"""``import search``: a study loaded, run and read from Python, as a stranger would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import search
from search.errors import AuditError, SpecError


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
    assert "<td>v</td>" in result._repr_html_()
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
