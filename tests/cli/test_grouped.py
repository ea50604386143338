"""The commands in groups, and what a shell is told to complete."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import search
from search.cli.grouped import SECTIONS
from search.cli.main import main


def test_every_command_is_in_one_section() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert len(set(listed)) == len(listed)
    assert set(listed) == set(main.commands)


def test_help_shows_groups_and_examples() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    assert "scenario-search init --example pricing" in shown
    assert shown.index("Begin:") < shown.index("Look:") < shown.index("Machine:")
    assert "Other:" not in shown


def completed(words: str, folder: Path) -> list[str]:
    """Return what bash is told to complete at the end of words."""
    environment = os.environ | {
        "_SCENARIO_SEARCH_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    code = "from search.cli.main import main; main(prog_name='scenario-search')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_a_shell_completes_studies(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("# first\nstudy: plan\n")
    (tmp_path / "other.yaml").write_text("models: []\n")
    (tmp_path / "configs").mkdir()
    assert completed("scenario-search run ", tmp_path) == ["configs/", "plan.yaml"]
    assert completed("scenario-search run pl", tmp_path) == ["plan.yaml"]
    assert completed("scenario-search ver", tmp_path) == ["verify"]


@pytest.mark.dbt
def test_a_shell_completes_trials(tiny: Callable[..., Path], without_children: None) -> None:
    file = tiny(search={"max_iterations": 1, "max_trials": 3})
    search.run_study(search.load_study(file), results=file.parent / "results")
    trials = completed(f"scenario-search verify {file.name} --trial ", file.parent)
    assert {"0", "1"} <= set(trials)
    assert completed("scenario-search verify nowhere.yaml --trial ", file.parent) == []
