"""A project that is edited while dbt evaluates ends the study with its name."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from studies import (
    FormulaFactory,
    copy_project,
    dbt_document,
    search_command,
    stored_trials,
    write_study,
)

from search.errors import ProjectError
from search.scenario.outcome import EvaluationRequest
from search.system.unchanged import Unchanged
from search.workers.inline import InlinePool
from search.workers.unchanged_pool import UnchangedPool, reads_the_project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.sql", "b.sql"):
        (tmp_path / name).write_text(name)
    return tmp_path


def look(folder: Path) -> Unchanged:
    return Unchanged(lambda: sorted(folder.iterdir()))


def test_edited_added_and_removed_files_are_named(folder: Path) -> None:
    unchanged = look(folder)
    assert unchanged.changed() == []
    (folder / "a.sql").write_text("c.sql")  # of the same size
    (folder / "b.sql").unlink()
    (folder / "new.sql").write_text("")
    assert [path.name for path in unchanged.changed()] == ["a.sql", "b.sql", "new.sql"]
    with pytest.raises(ProjectError, match=r"a\.sql, .*b\.sql, .*new\.sql changed while the study"):
        unchanged.require()


def test_an_edit_that_keeps_size_and_time_is_seen(folder: Path) -> None:
    unchanged = look(folder)
    state = (folder / "a.sql").stat()
    (folder / "a.sql").write_text("x.sql")
    os.utime(folder / "a.sql", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert [path.name for path in unchanged.changed()] == ["a.sql"]


def test_a_file_written_anew_with_the_same_content_is_no_change(folder: Path) -> None:
    unchanged = look(folder)
    (folder / "a.sql").write_text("a.sql")
    os.utime(folder / "b.sql")
    assert unchanged.changed() == [] and unchanged.changed() == []


def test_of_a_large_file_any_write_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.system.unchanged.LARGE_BYTES", 2)
    unchanged = look(folder)
    (folder / "a.sql").write_text("a.sql")
    assert unchanged.changed() == [folder / "a.sql"]


@pytest.mark.dbt
def test_a_model_edited_while_a_study_runs_ends_it_with_its_name(tmp_path: Path) -> None:
    project = copy_project("tiny", tmp_path / "project")
    document = dbt_document(
        targets={"v": {"value": 1000.0, "tolerance": 0.0001}},
        search={"max_iterations": 50, "batch_size": 2, "early_stop": False},
    )
    document["resources"]["engine"] = "dbt"
    file = write_study(project, document)
    (model,) = project.rglob("fct_result.sql")
    results = tmp_path / "results"
    with subprocess.Popen(
        search_command("run", file, "--results", results), cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if "trial 2 " in line:
                break
        model.write_text(model.read_text() + "\n-- edited\n")
        said += process.stderr.read()
    assert process.returncode == 2, said
    assert f"{model} changed while the study ran" in said and "Traceback" not in said
    complete = [one for one in stored_trials(results, "tiny") if one.state.name == "COMPLETE"]
    assert 1 <= len(complete) <= 10
    assert not (results / "tiny" / "spool").exists()


def opened_pool(tmp_path: Path, watched: Path, *, engine: str, writes: list[str]) -> UnchangedPool:
    """A pool whose first evaluation of trial 1 sees these texts written to the watched file."""
    left = list(writes)

    def formula(x: float) -> dict[str, float]:
        seen = watched.read_text()
        if x == 1.0 and left:
            seen = left[0]
            for text in left:
                watched.write_text(text)
            left.clear()
        return {"v": float(len(seen))}

    pool = InlinePool()
    pool.open(FormulaFactory(formula, tmp_path / "evaluated"))
    reads = reads_the_project if engine != "formula" else lambda outcome: True
    return UnchangedPool(pool, Unchanged(lambda: [watched]), lambda: None, reads)


def outcomes(pool: UnchangedPool) -> list[tuple[int, float]]:
    for trial in range(3):
        pool.submit(EvaluationRequest(trial, {"x": float(trial)}))
    answers = []
    while pool.in_flight:
        outcome = pool.next_outcome(5)
        assert outcome is not None
        answers.append((outcome.request.trial, outcome.metrics["v"]))
    return sorted(answers)


def test_who_evaluated_while_a_file_was_edited_and_restored_evaluates_again(tmp_path: Path) -> None:
    watched = tmp_path / "model.sql"
    watched.write_text("four")
    pool = opened_pool(tmp_path, watched, engine="formula", writes=["another", "four"])
    assert outcomes(pool) == [(0, 4.0), (1, 4.0), (2, 4.0)]
    # Trial 2 was queued before the file was written, so it may have been read then as well.
    assert (tmp_path / "evaluated").read_text().split() == ["0", "1", "2", "1", "2"] or (
        tmp_path / "evaluated"
    ).read_text().split() == ["0", "1", "1", "2", "2"]


def test_an_edit_that_stays_is_raised_and_its_outcome_does_not_count(tmp_path: Path) -> None:
    watched = tmp_path / "model.sql"
    watched.write_text("four")
    pool = opened_pool(tmp_path, watched, engine="formula", writes=["another"])
    with pytest.raises(ProjectError, match=r"model\.sql changed while the study ran"):
        outcomes(pool)


def test_a_replay_does_not_read_the_project(tmp_path: Path) -> None:
    watched = tmp_path / "model.sql"
    watched.write_text("four")
    pool = opened_pool(tmp_path, watched, engine="replay", writes=["another"])
    assert [trial for trial, _ in outcomes(pool)] == [0, 1, 2]


def test_the_mark_tells_that_a_file_was_written_with_what_it_held(tmp_path: Path) -> None:
    """So what was spooled before is not taken for an outcome of now."""
    watched = tmp_path / "model.sql"
    watched.write_text("four")
    marks = []
    for text in ("four", "five", "four"):
        watched.write_text(text)
        marks.append(Unchanged(lambda: [watched]).mark)
    assert Unchanged(lambda: [watched]).mark == marks[-1]
    assert len(set(marks)) == 3
