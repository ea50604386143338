"""The commands about parameter sets, and what dbt makes of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from projects import LEVERS, STUDY, journal_file, levers, make
from studies import changed, write_study

from search.audit.reader import AuditReader
from search.cli.leaving import exit_code
from search.cli.main import main
from search.parameter_sets.journal import VALUES, Origin
from search.parameter_sets.sets import Author, ParameterSets
from search.study import StudySpec, load_study

ROOT = Path(__file__).parents[2]


class Shell:
    """Runs commands about one study in this process."""

    def __init__(self, spec: StudySpec, capfd: pytest.CaptureFixture[str]) -> None:
        self.spec = spec
        self.results = spec.file.parent / "results"
        self._capfd = capfd

    def __call__(self, command: str, *words: str, code: int = 0) -> str:
        line = [command, str(self.spec.file), *words]
        line += [] if command == "history" else ["--results", str(self.results)]
        assert exit_code(lambda: main(line, standalone_mode=False)) == code
        said = self._capfd.readouterr()
        assert "Traceback" not in said.err and "unexpected" not in said.err
        assert said.out == "" or code == 0
        return said.out if code == 0 else said.err


@pytest.fixture
def shell(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Shell:
    return Shell(make(tmp_path), capfd)


def test_from_apply_to_rollback(shell: Shell) -> None:
    assert "no parameter set yet" in shell("history")
    said = shell("apply", "--set", "tip=2.5", "--set", "days=45", "-m", "more")
    assert "set 1 is in force (values given)" in said
    assert "-mine,,tip,1,false,2026-01-01,seed" in said and "+  days: 45" in said
    shell("apply", "--set", "tip=3", "-m", "most", "--author", "ben")
    history = json.loads(shell("history", "--json"))
    assert [(one["version"], one["active"]) for one in history["sets"]] == [
        (0, False), (1, False), (2, True),
    ]  # fmt: skip
    assert history["sets"][2]["author"] == "ben" and history["edited_since"] == []
    diff = json.loads(shell("diff", "1", "set:2", "--json"))
    assert diff["parameters"]["tip"] == {"a": 2.5, "b": 3.0, "difference": 0.5}
    assert "same" in shell("diff", "current", "active")
    said = json.loads(shell("rollback", "-m", "back", "--json"))
    assert said["active"]["origin"] == {"kind": "rollback", "version": 1}
    assert said["differences"] == {"tip": {"a": 3.0, "b": 2.5, "difference": -0.5}}
    text = shell("history")
    assert "3 *" in text and "rollback to 1" in text and "tip 3 -> 2.5" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["apply", "-m", "x"], "study mine must have run, but there are no results of it in"),
        (["apply", "-m", "x", "--trial", "3"], "there are no results of it in"),
        (["apply", "--set", "tip=2"], "Missing option '-m' / '--reason'"),
        (["apply", "-m", " ", "--set", "tip=2"], "--reason must be one line of 1 to 500"),
        (["apply", "-m", "x", "--author", "a\nb", "--set", "tip=2"], "--author must be one line"),
        (["apply", "-m", "x", "--set", "tip"], "--set must be name=value, but got 'tip'"),
        (
            ["apply", "-m", "x", "--set", "tip=2", "--trial", "1"],
            "give one of --trial, --alternative",
        ),
        (["rollback", "-m", "x"], "a set must have been applied before a rollback"),
        (["diff", "1", "2"], "A must be a parameter set, but got set 1; there are none"),
        (
            ["diff", "current", "bset"],
            "B must be current, active, best, alternative:N, trial:N",
        ),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(
    shell: Shell, words: list[str], says: str
) -> None:
    assert re.search(says, shell(*words, code=2))
    assert levers(shell.spec) == LEVERS
    assert not journal_file(shell.spec).parent.exists() and not shell.results.exists()


def test_a_study_on_active_values_is_refused_when_they_were_edited(shell: Shell) -> None:
    shell("apply", "--set", "tip=2", "-m", "x")
    write_study(
        shell.spec.file.parent,
        changed(STUDY, {"parameters": {"tip": {"current": "active"}}}),
        name="mine.yml",
    )
    assert "same" in shell("diff", "current", "active")
    seed = shell.spec.file.parent / "project" / "seeds" / "levers.csv"
    seed.write_text(levers(shell.spec).replace("tip,2.0", "tip,4.0"))
    said = shell("status", code=2)
    assert "parameters.tip.current: current is active, but tip was edited by hand" in said


def test_a_winner_is_applied_with_its_origin(
    tiny: Callable[..., Path], without_children: None, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tiny(
        scenario={"setup": [{"dbt": {"command": "seed"}}]},
        search={"max_iterations": 1, "batch_size": 2, "sensitivity": "none"},
    )
    seeds = file.parent / "seeds"
    seeds.mkdir()
    (seeds / "levers.csv").write_text("name,value\nrate,1.5\n")
    shell = Shell(load_study(file), capfd)
    line = ["run", str(file), "--results", str(shell.results), "--workers", "0"]
    assert exit_code(lambda: main(line, standalone_mode=False)) == 3
    capfd.readouterr()
    said = shell("apply", "-m", "x", code=2)
    assert "misses v; name it to apply it all the same: --trial" in said
    shell("apply", "--trial", "1", "-m", "the plan")
    trial = AuditReader(shell.results / "tiny").trial(1)
    values = {one.parameter: one.value for one in trial.parameters}
    rate = (seeds / "levers.csv").read_text().splitlines()[1].split(",")[1]
    assert float(rate) == values["rate"]
    assert f"x: {values['x']}" in (file.parent / "dbt_project.yml").read_text()
    (found, applied) = AuditReader(shell.results / "tiny").parameter_sets()
    assert (found.version, found.is_active) == (0, False)
    assert (applied.trial, applied.study, applied.reason) == (1, "tiny", "the plan")
    assert applied.run_id == trial.record.run_id and applied.parameters == values
    events = AuditReader(shell.results / "tiny").events(kind="parameter_set_applied")
    assert [one.fields["version"] for one in events] == [1]


@pytest.mark.dbt
def test_dbt_without_a_search_uses_what_was_applied(tmp_path: Path) -> None:
    """The levers of the simulation, as its own model resolves them when no var is given."""
    made = shutil.ignore_patterns("data", "target", "logs", "*.duckdb", "parameter_sets")
    shutil.copytree(ROOT / "dbt", tmp_path / "dbt", ignore=made)
    (tmp_path / "configs").mkdir()
    spec = load_study(Path(shutil.copy(ROOT / "configs" / "quick.yaml", tmp_path / "configs")))
    values = {"merit_budget": 0.02, "target_growth_rate": 0.05}
    ParameterSets(spec).apply(values, Origin(kind=VALUES), Author("ana", "plan"))
    words = ["--quiet", "build", "--vars", "scenario_id: quick", "--indirect-selection", "cautious"]
    subprocess.run(
        [Path(sys.prefix, "bin", "dbt"), *words, "--select", "+int_effective_parameters"],
        cwd=tmp_path / "dbt",
        env=os.environ | {"WORKFORCE_DB": str(tmp_path / "w.duckdb")},
        check=True,
    )
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as connection:
        resolved = connection.execute(
            "select parameter_name, parameter_value, source from int_effective_parameters "
            "where parameter_name in ('merit_budget', 'target_growth_rate') order by 1"
        ).fetchall()
    assert resolved == [
        ("merit_budget", 0.02, "scenario"), ("target_growth_rate", 0.05, "scenario"),
    ]  # fmt: skip
    ParameterSets(spec).roll_back(0, Author("ana", "back"))
    seed = Path("seeds", "comp_levers.csv")
    assert (tmp_path / "dbt" / seed).read_bytes() == (ROOT / "dbt" / seed).read_bytes()
