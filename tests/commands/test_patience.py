"""A template or a query without end: preparing ends with the name of what it is in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from studies import copy_project, tiny_document, write_study

from search.commands.run import RunOptions, run_study
from search.driver.progress import SilentProgress
from search.errors import PreparationTimeoutError
from search.study import load_study

pytestmark = pytest.mark.dbt

LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def refusal(file: Path, tmp_path: Path) -> str:
    with pytest.raises(PreparationTimeoutError) as caught:
        run_study(load_study(file), RunOptions(tmp_path / "results"), SilentProgress())
    return str(caught.value)


def test_an_endless_template_of_a_model_is_told_with_the_model(tmp_path: Path) -> None:
    project = copy_project("tiny", tmp_path / "project")
    model = next((project / "models").glob("*.sql"))
    model.write_text(LOOP + model.read_text())
    file = write_study(project, tiny_document(search={"prepare_timeout": "12s"}))
    told = refusal(file, tmp_path)
    assert told.startswith(f"model.tiny.{model.stem} must be done within 12 s")
    assert "search.prepare_timeout" in told


@pytest.mark.long
def test_an_endless_template_of_the_study_is_told_with_its_key(
    tiny: Callable[..., Path], tmp_path: Path
) -> None:
    changes = {
        "search": {"prepare_timeout": "12s"},
        "metrics": {"v": {"sql": LOOP + "select v from result"}},
    }
    assert refusal(tiny(**changes), tmp_path).startswith("metrics.v.sql must be done within 12 s")
