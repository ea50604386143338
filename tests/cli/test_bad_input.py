"""Each mistake of a user is one clear message, exit code 2, and nothing written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from studies import copy_project, dbt_document, run_search, tiny_document, write_study

from search.cli.leaving import exit_code
from search.cli.main import main


class Refusal:
    """Runs the command line in this process and checks how it refuses."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.results = folder.parent / "results"
        self._capfd = capfd

    def of(self, file: Path, *args: str, command: str = "run", code: int = 2) -> str:
        """Return what was said about a study file, after checking that nothing was written."""
        words = [command, str(file), "--results", str(self.results), *args]
        assert exit_code(lambda: main(words, standalone_mode=False)) == code
        said = self._capfd.readouterr()
        assert said.out == ""
        assert "Traceback" not in said.err and "search: unexpected" not in said.err
        studies = [path.name for path in self.results.glob("*") if path.name != "baselines"]
        assert studies == []
        complaints = [line for line in said.err.splitlines() if "scenario-search:" in line]
        assert 1 <= len(complaints) <= 2
        return said.err

    def of_study(self, document: Any, *args: str, command: str = "run") -> str:
        return self.of(write_study(self.folder, document), *args, command=command)


@pytest.fixture
def refusal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Refusal:
    return Refusal(copy_project("tiny", tmp_path / "project"), capfd)


@pytest.fixture
def prepared(refusal: Refusal, without_children: None) -> Refusal:
    """With dbt in this process."""
    return refusal


# --- found in the study file alone ------------------------------------------------


def test_a_missing_file(refusal: Refusal) -> None:
    said = refusal.of(refusal.folder / "none.yml")
    assert "none.yml" in said and re.search("does not exist|no such file|there is no", said, re.I)


def test_a_file_that_is_no_yaml(refusal: Refusal) -> None:
    file = refusal.folder / "broken.yml"
    file.write_text("study: [unclosed\nscenario: {")
    assert re.search(r"broken\.yml:\d+", refusal.of(file))


X = {"low": 0.0, "high": 10.0, "step": 0.5, "current": 1.0, "bind": {"var": "x"}}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"serach": {}}, "serach.*did you mean.*search"),
        ({"search": {"max_iteration": 3}}, "search.max_iteration.*did you mean.*max_iterations"),
        ({"parameters": {"x": {"low": 11.0}}}, "parameters.x.low.*`low < high` must hold"),
        ({"parameters": {"x": {"current": 12.0}}}, "parameters.x.current.*between low 0.* and"),
        ({"parameters": {"x": {"step": 0.3}}}, "parameters.x.step.*must divide high - low"),
        ({"parameters": {"y": X}}, "var x"),
        ({"targets": {"w": {"value": 1}}}, "targets.w.*metric"),
        ({"targets": {"v": {"tolerance": 0}}}, "targets.v.tolerance.*0"),
        ({"targets": {"v": {"tolerance": -0.1}}}, "targets.v.tolerance.*-0.1"),
        ({"resources": {"memory_budget": "lots"}}, "resources.memory_budget"),
        ({"constraints": ["x + z <= 3"]}, "z"),
        ({"storage": "mysql://me:secret@host/db"}, "storage.*sqlite:///path"),
        ({"scenario": {"dbt_project": "nowhere"}}, "scenario.dbt_project.*nowhere"),
        ({"resources": {"memory_budget": "200MB"}}, "MB|GB"),
        ({"resources": {"memory_budget": "1GB", "workers": 8}}, "budget"),
    ],
)
def test_mistakes_in_the_file(
    refusal: Refusal, without_children: None, changes: dict[str, Any], says: str
) -> None:
    said = refusal.of_study(tiny_document(**changes))
    assert re.search(says, said)
    assert "secret" not in said


def test_a_key_that_stands_twice(refusal: Refusal) -> None:
    file = write_study(refusal.folder, tiny_document())
    file.write_text(file.read_text().replace("  rate:", "  x:"))
    said = refusal.of(file)
    assert re.search(r"study\.yml:\d+: parameters.x: a key must stand once, .* on lines", said)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--set", "search.max_iteration=3"], "max_iterations"),
        (["--set", "nonsense"], "nonsense"),
        (["--workers", "-1"], "workers"),
        (["--var", "nonsense"], "nonsense"),
    ],
)
def test_mistakes_in_options(refusal: Refusal, args: list[str], says: str) -> None:
    words = ["run", str(write_study(refusal.folder, tiny_document())), *args]
    finished = run_search(*words, "--results", refusal.results, cwd=refusal.folder)
    assert finished.returncode == 2 and finished.stdout == ""
    assert says in finished.stderr and "Traceback" not in finished.stderr
    assert not refusal.results.exists()


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("x=11", "x: must be between 0.0 and 10.0"),
        ("x=0.7", "x: must be low 0.0 plus steps of 0.5"),
        ("x=much", "x: must be a number"),
        ("z=1", "must be a parameter, which are"),
        ("x", "--set must be name=value"),
    ],
)
def test_mistakes_in_a_what_if(refusal: Refusal, assignment: str, says: str) -> None:
    said = refusal.of_study(tiny_document(), "--set", assignment, command="evaluate")
    assert says in said


def test_a_trial_that_does_not_exist(refusal: Refusal) -> None:
    said = refusal.of_study(tiny_document(), "--from-trial", "3", command="evaluate")
    assert "study tiny must have run, but there are no results of it in" in said


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://me:secret@127.0.0.1:1/db", "cannot be used"),
        ("sqlite:////proc/nowhere/study.db", "cannot be used"),
    ],
)
def test_an_unreadable_storage(
    refusal: Refusal, without_children: None, url: str, says: str
) -> None:
    said = refusal.of_study(tiny_document(storage=url))
    assert says in said and "secret" not in said


def test_a_storage_that_is_no_database(refusal: Refusal, without_children: None) -> None:
    file = refusal.folder.parent / "study.db"
    file.write_text("this is not a database at all" * 100)
    said = refusal.of_study(tiny_document(storage=f"sqlite:///{file}"))
    assert "cannot be used" in said


# --- found in the dbt project and its data ----------------------------------------


def _bind(**bind: str) -> dict[str, Any]:
    return {"parameters": {"rate": {"bind": bind}}}


@pytest.mark.dbt
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"parameters": {"x": {"bind": {"var": "xx"}}}}, "bind.var: .*no file reads 'xx'.*'x'"),
        (_bind(table="nowhere"), "rate.bind.table: must be a table of the baseline.*nowhere"),
        (_bind(column="val"), "rate.bind.column: must be a column of levers.*: name, value"),
        (_bind(where="name = 'rat'"), "rate.bind.where: must match a row of levers"),
        (_bind(where="nam = 'rate'"), "rate.bind.where: must be a condition on levers"),
        ({"scenario": {"setup": [{"sql": "create table a as from b"}]}}, r"setup\[0\].*b"),
        ({"scenario": {"database": "none.duckdb"}}, "there is none at .*none.duckdb"),
        ({"scenario": {"inputs": ["none.csv"]}}, "scenario.inputs.*none.csv"),
        ({"scenario": {"profile": "other"}}, "profile 'other' must be in .*tiny"),
        ({"scenario": {"target": "prod"}}, "prod"),
        ({"metrics": {"v": {"sql": "select v from {{ ref('fct_resul') }}"}}}, "'fct_result'"),
        ({"metrics": {"v": {"sql": "select nothing from result"}}}, "metrics.v: .*nothing"),
        ({"metrics": {"v": {"sql": "select v from result where v < 0"}}}, "yields none"),
        ({"metrics": {"v": {"sql": "select v from result, range(2)"}}}, "two or more"),
        ({"metrics": {"v": {"sql": "select null::int"}}}, "metrics.v: .*yields NULL"),
        ({"metrics": {"v": {"sql": "select 'nan'::double"}}}, "metrics.v: .*nan"),
        ({"metrics": {"v": {"sql": "select v / 0.0 from result"}}}, "metrics.v: .*inf"),
    ],
)
def test_mistakes_that_the_project_shows(
    prepared: Refusal, changes: dict[str, Any], says: str
) -> None:
    said = prepared.of_study(tiny_document(**changes))
    assert re.search(says, said)


@pytest.mark.dbt
def test_mistakes_in_dbt_steps(prepared: Refusal) -> None:
    nothing = [{"dbt": {"command": "run", "select": "tag:nothing"}}]
    said = prepared.of_study(dbt_document(scenario={"steps": nothing}))
    assert re.search(r"scenario.steps\[0\].dbt: must select something.*'tag:nothing'", said)


@pytest.mark.dbt
def test_a_scenario_that_fails_at_the_current_parameters(prepared: Refusal) -> None:
    said = prepared.of_study(dbt_document(parameters={"x": {"current": 9.0}}))
    assert re.search(r"fails at the current parameters \(steps\[0\], model.tiny.fct_result", said)
    assert "x must be at most 8" in said


@pytest.mark.dbt
def test_a_project_that_does_not_parse(prepared: Refusal) -> None:
    (prepared.folder / "models" / "broken.sql").write_text("select {{ ref('fct_result' }}")
    said = prepared.of_study(tiny_document())
    assert "does not parse; dbt says" in said and "broken.sql" in said


@pytest.mark.dbt
def test_a_database_that_another_process_holds(
    prepared: Refusal, held: Callable[[Path], int]
) -> None:
    path = prepared.folder.parent / "base.duckdb"
    duckdb.connect(str(path)).close()
    pid = held(path)
    said = prepared.of_study(tiny_document(scenario={"database": str(path)}))
    assert f"(PID {pid}) holds it" in said


@pytest.fixture
def held() -> Iterator[Callable[[Path], int]]:
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    started: list[subprocess.Popen[str]] = []

    def hold(path: Path) -> int:
        command = [sys.executable, "-c", code, str(path)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "1\n"
        return process.pid

    yield hold
    for process in started:
        process.communicate("\n", timeout=30)


@pytest.mark.dbt
def test_a_database_beside_a_wal(prepared: Refusal) -> None:
    path = prepared.folder.parent / "base.duckdb"
    duckdb.connect(str(path)).close()
    path.with_name("base.duckdb.wal").write_bytes(b"")
    said = prepared.of_study(tiny_document(scenario={"database": str(path)}))
    assert "base.duckdb" in said


@pytest.mark.dbt
def test_a_full_disk(prepared: Refusal) -> None:
    folder = prepared.folder.parent / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    is_allowed = os.geteuid() == 0 and shutil.which("mount")
    if not is_allowed or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        big = {"sql": "create table big as select hash(range) as h from range(2000000)"}
        setup = [*tiny_document()["scenario"]["setup"], big]
        document = tiny_document(scenario={"setup": setup}, resources={"scratch": str(folder)})
        said = prepared.of(write_study(prepared.folder, document))
        assert "no room for a copy of the baseline" in said and "resources.scratch" in said
        assert list(folder.iterdir()) == []
    finally:
        subprocess.run(["umount", str(folder)], check=True)
