"""USE, SET SCHEMA and ATTACH in a project: replayed where that is the same as dbt, else refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from dbt_scenario import Around, Mini, by_dbt, by_replay
from sql_scenario import CATALOG, Compiled, Script

from search.errors import RecordingError, ScenarioError
from search.scenario.compiled.refusals import refuse_what_cannot_be_replayed
from search.scenario.compiled.statements import effect_of


def judged(tmp_path: Path, *lines: str) -> None:
    script = Script(
        setup=("create schema empty", "create schema side", "create table side.t as select 1 as v"),
        lines=(*lines, "create table main.made as select {p} as v"),
        metrics={"v": "select v from main.made"},
    )
    refuse_what_cannot_be_replayed(Compiled(script, tmp_path / "compiled").program)


@pytest.mark.parametrize(
    "sql",
    ["set schema = 'main'", f"use {CATALOG}", "use main", "use empty", "set schema = 'empty'"],
)
def test_a_path_by_which_no_name_means_something_else(sql: str, tmp_path: Path) -> None:
    assert effect_of(sql).kind == "path"
    judged(tmp_path, sql)


@pytest.mark.parametrize(
    "lines",
    [("set schema = 'side'",), ("use side",), ("use empty", "create table loose as select 1 as v")],
)
def test_a_path_that_matters_is_refused(lines: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"model\.test\.any: what unqualified names mean"):
        judged(tmp_path, *lines)


def test_numbers_that_count_on_are_left_to_dbt(tmp_path: Path) -> None:
    script = Script(
        setup=("create sequence numbers",),
        lines=("create table main.made as select nextval('numbers') * {p} as v",),
        metrics={"v": "select v from main.made"},
    )
    with pytest.raises(RecordingError, match=r"model\.test\.any: nextval"):
        refuse_what_cannot_be_replayed(Compiled(script, tmp_path / "compiled").program)


@pytest.mark.dbt
def test_a_hook_that_attaches_a_database_is_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mini = Mini(
        tmp_path / "mini",
        {"m.sql": "{{ config(materialized='table') }} select v * {{ var('x') }} as v from other.t"},
        {"x": {"low": 0.0, "high": 9.0, "current": 1.5}},
        {"v": "select v from m"},
        project={
            "on-run-start": ["attach if not exists 'data/other.duckdb' as other", "use main"],
            "on-run-end": "detach other",
        },
    )
    (mini.folder / "data").mkdir()
    with duckdb.connect(str(mini.folder / "data" / "other.duckdb")) as other:
        other.execute("create table t as select 4.0 as v")
    monkeypatch.chdir(tmp_path)
    expected = [{"v": 8.0}]
    assert by_dbt(mini.factory, [{"x": 2.0}]) == expected
    (found,) = by_replay(mini.library, [{"x": 2.0}])
    assert found == [*expected, *expected]


@pytest.mark.dbt
def test_a_metric_reads_views_over_files_and_no_other_file(tmp_path: Path) -> None:
    """A view opens its file when the metric is read, in a session that may reach no other."""
    views = {
        "m.sql": "select sum(v) * {{ var('x') }} as v from read_csv('../in.csv')",
        "parts.sql": "select sum(v) as v from 'data/**/*.csv'",
    }
    read = "select m.v + parts.v from m, parts"
    (tmp_path / "in.csv").write_text("v\n4\n")
    parameters = {"x": {"low": 0.0, "high": 9.0, "current": 1.5}}
    files = {"data/deep/part.csv": "v\n7\n"}
    for name, sql in (("mini", read), ("nosy", f"{read}, read_csv('../other.csv')")):
        mini = Mini(tmp_path / name, views, parameters, {"v": sql}, around=Around(files))
        factory = replace(mini.factory, plan=replace(mini.plan, allow_external_access=False))
        if name == "mini":
            assert by_dbt(factory, [{"x": 2.0}]) == [{"v": 15.0}]
            assert by_replay(mini.library, [{"x": 2.0}]) == [[{"v": 15.0}, {"v": 15.0}]]
        else:
            (tmp_path / "other.csv").write_text("w\n1\n")
            with pytest.raises(ScenarioError, match="allow_external_access"):
                by_dbt(factory, [{"x": 2.0}])
