"""A replay writes nothing but its database, and reads what the recordings read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt_scenario import Mini, by_dbt
from isolations import ISOLATIONS
from sql_scenario import Compiled, Script

from search.errors import RecordingError
from search.scenario.compiled import walls as module
from search.scenario.compiled.emission import Action
from search.scenario.compiled.lifting import Template
from search.scenario.compiled.program_evaluator import ProgramEvaluatorFactory
from search.scenario.compiled.replay import Replay
from search.scenario.compiled.walls import BeyondRecording, ReplayWalls
from search.scenario.evaluator import StageClock
from search.scenario.outcome import EvaluationRequest
from search.system.confinement import landlock_version

SCRIPT = Script(
    setup=("create table plain as select 1 as v",),
    lines=("create table made as select v * {p} as v from plain",),
    metrics={"made": "select v from made"},
)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_duckdb_and_the_kernel_hold_a_replay(isolation: str, tmp_path: Path) -> None:
    compiled = Compiled(SCRIPT, tmp_path / "compiled")
    users = tmp_path / "users.csv"
    users.write_text("v\n1\n")
    with duckdb.connect(str(tmp_path / "users.duckdb")) as database:
        database.execute("create table t as select 1 as v")
    before = {file: file.read_bytes() for file in tmp_path.glob("users.*")}
    refused: list[str] = []

    def attempt(what: str, act: Callable[[], object], kind: type[Exception]) -> None:
        with pytest.raises(kind):
            act()
        refused.append(what)

    def attack(action: Action, connection: Any) -> None:
        for sql in (
            f"copy (select 2 as v) to '{users}'",
            f"copy (select 2 as v) to '{tmp_path}/new.csv'",
            f"export database '{tmp_path}/dump'",
            f"attach '{tmp_path}/users.duckdb' as users",
            f"from read_csv('{users}')",
            f"from '{users}'",
            f"set log_query_path = '{tmp_path}/q.log'",
        ):
            attempt(sql, lambda sql=sql: connection.execute(sql), duckdb.PermissionException)  # type: ignore[misc]
        for sql in ("set enable_external_access = true", "set allowed_directories = ['/']"):
            attempt(sql, lambda sql=sql: connection.execute(sql), duckdb.InvalidInputException)  # type: ignore[misc]
        if landlock_version():
            attempt("open", lambda: users.write_text("v\n3\n"), PermissionError)
            attempt("mkdir", lambda: (tmp_path / "made").mkdir(), PermissionError)

    replay = Replay(
        compiled.factory, compiled.program, compiled.content, isolation, observer=attack
    )
    try:
        assert compiled.metrics(replay, {"p": 3}) == {"made": 3.0}
    finally:
        replay.close()
    assert len(refused) == (11 if landlock_version() else 9)
    assert {file: file.read_bytes() for file in tmp_path.glob("users.*")} == before
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "compiled",
        "users.csv",
        "users.duckdb",
    ]


def walls(compiled: Compiled, template: Template, *patterns: str) -> tuple[ReplayWalls, Action]:
    plan = replace(compiled.plan, seen=tuple(f"glob {one}" for one in patterns))
    action = Action("run", template=template)
    return ReplayWalls([action], plan), action


def test_a_statement_is_looked_at_before_it_runs(tmp_path: Path) -> None:
    compiled = Compiled(SCRIPT, tmp_path / "compiled")
    with pytest.raises(RecordingError, match="COPY"):
        walls(compiled, Template(("copy plain to 'out.csv'",)))
    built, action = walls(compiled, Template(("create table t as select '", "' as s"), ("s",)))
    built.require_known(action, {"s": "plain"})
    with pytest.raises(BeyondRecording, match="COPY"):
        built.require_known(action, {"s": "x'; copy plain to 'out.csv'; select '"})


def test_a_name_that_no_pattern_matches_is_beyond_what_was_recorded(tmp_path: Path) -> None:
    compiled = Compiled(SCRIPT, tmp_path / "compiled")
    template = Template(("select * from read_csv('/data/", ".csv')"), ("s",))
    built, action = walls(compiled, template, "/data/part_*.csv")
    built.require_known(action, {"s": "part_7"})
    with pytest.raises(BeyondRecording, match=r"/data/other\.csv"):
        built.require_known(action, {"s": "other"})


@pytest.mark.parametrize("quotes", ["''", '""', ("$$", "$$"), ("$a$", "$a$"), ("e'", "'")])
def test_a_number_may_name_a_file(tmp_path: Path, quotes: tuple[str, str]) -> None:
    compiled = Compiled(SCRIPT, tmp_path / "compiled")
    before, behind = quotes
    template = Template((f"from {before}/data/part_", f".csv{behind} where v > 0"), ("n",))
    built, action = walls(compiled, template, "/data/part_1*.csv")
    built.require_known(action, {"n": "12"})
    with pytest.raises(BeyondRecording, match=r"/data/part_2\.csv"):
        built.require_known(action, {"n": "2"})


def test_a_number_beside_names_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = Compiled(SCRIPT, tmp_path / "compiled")
    template = Template(("select 'x', v -", " from read_csv('/data/part_1.csv')"), ("n",))
    built, action = walls(compiled, template, "/data/part_*.csv")
    looked: list[str] = []
    monkeypatch.setattr(module, "outside_writes", lambda sql: looked.append(sql) or [])
    for text in ("3", "0.25", "1e-05"):
        built.require_known(action, {"n": text})
    assert looked == []
    built.require_known(action, {"n": "-1"})  # which makes a comment of what follows
    assert len(looked) == 1


@pytest.mark.dbt
def test_a_file_that_no_recording_read_is_read_by_dbt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mini = Mini(
        tmp_path / "mini",
        {
            "m.sql": "{{ config(materialized='table') }} select sum(v) * {{ var('x') }} as v"
            " from read_csv('data/{{ var('s') }}.csv')"
        },
        {
            "x": {"low": 0.0, "high": 9.0, "current": 1.0},
            "s": {"choices": ["one", "two", "three"], "current": "one"},
        },
        {"v": "select v from m"},
    )
    (mini.folder / "data").mkdir()
    (tmp_path / "data").mkdir()  # where the command is started: none of the project's
    for value, name in enumerate(("one", "two", "three"), start=1):
        (mini.folder / "data" / f"{name}.csv").write_text(f"v\n{value}\n")
        (tmp_path / "data" / f"{name}.csv").write_text("v\n1000\n")
    monkeypatch.chdir(tmp_path)
    candidates = [{"x": 2.0, "s": name} for name in ("one", "two", "three")]
    assert by_dbt(mini.factory, candidates) == [{"v": 2.0}, {"v": 4.0}, {"v": 6.0}]
    mini.world.path.unlink()
    mini.compile()
    evaluator = ProgramEvaluatorFactory(mini.library, "overlay")()
    evaluator.open()
    try:
        outcomes = [evaluator.evaluate(EvaluationRequest(0, one)) for one in candidates]
        assert [(one.metrics, one.engine) for one in outcomes] == [
            ({"v": 2.0}, "compiled"),
            ({"v": 4.0}, "compiled"),
            ({"v": 6.0}, "dbt"),
        ]
        assert f"file {mini.folder}/data/three.csv" in mini.world.inputs()
        assert evaluator.measure(EvaluationRequest(0, candidates[0]), StageClock()) == {"v": 2.0}
    finally:
        evaluator.close()
