"""The report's tables are read once of a candidate while all that they read stays the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from studies import copy_project, dbt_document, write_study

from search.commands.run import RunOptions, run_study
from search.driver.progress import SilentProgress
from search.study import load_study

pytestmark = [pytest.mark.dbt, pytest.mark.usefixtures("without_children")]


class Notes(SilentProgress):
    """Keeps what a person would have been told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        """Keep the line."""
        self.lines.append(line)

    @property
    def trials_read(self) -> list[str]:
        """The trials whose tables dbt was asked for."""
        asked = "reading the report's tables of trial "
        return [line.removeprefix(asked) for line in self.lines if line.startswith(asked)]


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., tuple[Any, Notes]]:
    """Runs a study whose report reads a file that no metric needs."""
    project = copy_project("tiny", tmp_path / "project")
    (project / "limits.csv").write_text("most\n7\n")
    (project / "models" / "beside.sql").write_text(
        f"select result, most from {{{{ ref('fct_result') }}}}, '{project / 'limits.csv'}'"
    )

    def run(**changes: Any) -> tuple[Any, Notes]:
        report = {
            "steps": [{"dbt": {"command": "run", "select": "beside"}}],
            "tables": {
                "most": {
                    "sql": "select 'all' as part, result + most as most from {{ ref('beside') }}",
                    "by": ["part"],
                    "value": "most",
                }
            },
        }
        steps = [{"dbt": {"command": "run", "select": "fct_result"}}]
        document = dbt_document(
            scenario={"steps": steps}, resources={"engine": "auto"}, report=report, **changes
        )
        notes = Notes()
        spec = load_study(write_study(project, document))
        result = run_study(spec, RunOptions(results=project / "results"), notes)
        return result.appraisal["tables"], notes

    run.project = project  # type: ignore[attr-defined]
    return run


def most(document: Any) -> dict[int, float]:
    return {plan["trial"]: plan["tables"]["most"]["rows"][0][1] for plan in document["plans"]}


def test_an_edit_of_a_target_reads_nothing_again_and_of_a_file_everything(start: Any) -> None:
    first, notes = start()
    assert "0" not in notes.trials_read  # they were read while today's values were recorded
    today = most(first)[0]
    edited, notes = start(targets={"v": {"value": 21.0, "tolerance": 0.6}})
    assert "0" not in notes.trials_read and most(edited)[0] == today
    (start.project / "limits.csv").write_text("most\n9\n")
    read_again, notes = start(targets={"v": {"value": 21.0, "tolerance": 0.7}})
    assert "0" in notes.trials_read and most(read_again)[0] == today + 2
