"""A study and the files that it reads beside its project: a change starts the next version."""

from __future__ import annotations

from pathlib import Path

import pytest
from studies import copy_project, tiny_document, write_study

from search.commands.compare import Side, compare_candidates
from search.commands.evaluate import evaluate_once
from search.commands.explain import explain_study
from search.commands.run import RunOptions, run_study
from search.driver.progress import Progress
from search.driver.results import Evaluation, RunResult
from search.errors import ProjectError
from search.study import load_study

READS_A_FILE = {
    "scenario": {
        "setup": None,
        "steps": [
            {
                "sql": "create or replace table result as "
                "select {{ var('x') }} * sum(a) as v from read_csv('../sales.csv')"
            }
        ],
        "allow_external_access": True,
    },
    "targets": {"v": {"value": 25.0, "tolerance": 0.001}},
}


class Noted(Progress):
    """Keeps what is told; changes a file when the search has begun."""

    def __init__(self, sales: Path | None = None) -> None:
        self.notes: list[str] = []
        self._sales = sales

    def note(self, text: str) -> None:
        """Keep it."""
        self.notes.append(text)
        if self._sales is not None and text.startswith("study "):
            self._sales.write_text("a\n50\n")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project beside the file that its study reads."""
    (tmp_path / "sales.csv").write_text("a\n10\n")
    project = copy_project("tiny", tmp_path / "project")
    document = tiny_document(**READS_A_FILE)
    del document["parameters"]["rate"]
    write_study(project, document)
    return project


def _run(project: Path, progress: Noted) -> RunResult:
    spec = load_study(project / "study.yml")
    return run_study(spec, RunOptions(results=project.parent / "results"), progress)


@pytest.mark.dbt
def test_another_content_starts_the_next_version(project: Path, without_children: None) -> None:
    """The old number is never shown for the new content, and the file is named."""
    assert _run(project, Noted()).end.best.values["x"] == 2.5  # type: ignore[union-attr]
    again = Noted()
    assert _run(project, again).study == "tiny"
    (project.parent / "sales.csv").write_text("a\n20\n")
    changed = Noted()
    result = _run(project, changed)
    assert result.study == "tiny-v2"
    assert any("sales.csv" in note and "is kept" in note for note in changed.notes)
    assert result.end.best is not None
    assert result.end.best.values["x"] * 20 == result.end.best.metrics["v"]


@pytest.mark.dbt
@pytest.mark.parametrize("engine", ["dbt", "compiled"])
def test_a_change_while_it_runs_is_told(engine: str, project: Path, without_children: None) -> None:
    """What was evaluated may belong to either content, so nothing of it is used again."""
    study = project / "study.yml"
    study.write_text(study.read_text().replace("engine: dbt", f"engine: {engine}"))
    sales = project.parent / "sales.csv"
    with pytest.raises(ProjectError, match=r"sales.csv changed while the study ran"):
        _run(project, Noted(sales))
    sales.write_text("a\n10\n")
    again = _run(project, Noted())
    assert again.study == "tiny"
    assert again.end.best is not None
    assert again.end.best.values["x"] * 10 == again.end.best.metrics["v"]


@pytest.mark.dbt
def test_no_command_shows_an_old_number_for_new_content(
    project: Path, without_children: None
) -> None:
    """What a trial gave under other content is compared with nothing and repeated as different."""
    results = project.parent / "results"
    _run(project, Noted())
    spec = load_study(project / "study.yml")

    def compared(progress: Noted) -> list[Side]:
        return compare_candidates(spec, "trial:0", ["trial:1"], results=results, progress=progress)

    def repeated() -> Evaluation:
        return evaluate_once(spec, assignments=[], from_trial=1, results=results, progress=Noted())

    for side in compared(Noted()):
        assert side.source.startswith("trial") and side.metrics["v"] == side.values["x"] * 10
    assert repeated().matches_trial is True
    (project.parent / "sales.csv").write_text("a\n20\n")
    told = Noted()
    for side in compared(told):
        assert side.source == "evaluated" and side.metrics["v"] == side.values["x"] * 20
    assert any("the scenario has changed" in note for note in told.notes)
    again = repeated()
    assert again.metrics["v"] == again.values["x"] * 20
    assert again.matches_trial is False and again.differs
    explained = explain_study(spec, results, Noted())
    assert explained.why_not is None and explained.statements
