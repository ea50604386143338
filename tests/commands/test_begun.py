"""A study that an earlier version began goes on: a folder kept from before the rooms moved."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from studies import copy_project

from search.commands.run import RunOptions, run_study
from search.driver.progress import SilentProgress
from search.storage.database import open_storage
from search.study import load_study

BEGUN = Path(__file__).with_name("begun")
"""Study file, storage and event log of two iterations, by version 0.1.0."""


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A copy of the folder as its owner has it: the project, the study file, the results."""
    project = copy_project("tiny", tmp_path / "project")
    shutil.copy(BEGUN / "begun.yml", project)
    results = tmp_path / "results" / "begun"
    results.mkdir(parents=True)
    for name in ("study.db", "events.jsonl"):
        shutil.copy(BEGUN / name, results)
    return project


@pytest.mark.dbt
def test_a_study_of_an_earlier_version_goes_on(begun: Path, without_children: None) -> None:
    """Its trials keep their numbers, values and metrics, and new ones follow them."""
    results = begun.parent / "results"
    url = f"sqlite:///{results / 'begun' / 'study.db'}"
    before = open_storage(url)
    (study,) = before.get_all_studies()
    old = [
        (one.number, one.params, one.values, one.user_attrs)
        for one in before.get_all_trials(study._study_id)
    ]
    assert len(old) == 9
    spec = load_study(begun / "begun.yml", overrides=["search.max_iterations=3"])
    result = run_study(spec, RunOptions(results=results), SilentProgress())
    assert result.study == "begun"
    assert result.end.trials == 13 and result.end.iterations == 3
    after = open_storage(url)
    new = [
        (one.number, one.params, one.values, one.user_attrs)
        for one in after.get_all_trials(study._study_id)
    ]
    assert new[: len(old)] == old
