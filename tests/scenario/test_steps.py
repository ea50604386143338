"""The guard of the study author's SQL: the same in setup, steps, metrics, cells and Dagster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from studies import MIB, copy_project, load, tiny_document

from dagster_defs.steps import Chosen, StepRun, run_steps
from search.errors import SearchError, SpecError
from search.scenario.baseline import ensure_baseline
from search.scenario.baseline_recipe import BaselineRecipe
from search.scenario.duck_limits import DuckLimits
from search.scenario.metric_reader import read_metric
from search.scenario.plan import PlannedMetric, Profile
from search.scenario.relations import Relations
from search.scenario.steps import StepPlace, StepRunner, authors_connection
from search.scenario.table_binds import check_table_bind, plan_table_bind
from search.study.parameters import BindSpec, ParameterSpec
from search.study.steps import ExpandedStep, expand

REFUSED = {
    "read": ("create table got as from '{outside}/rates.csv'", "allow_external_access"),
    "write": ("copy (select 1) to '{outside}/new.csv'", "COPY ... TO writes the file"),
    "attach": ("attach '{outside}/new.db'", "ATTACH opens"),
    "attach to read": ("attach '{outside}/old.db' (read_only)", "allow_external_access"),
    "install": ("install httpfs", "INSTALL changes the extensions of this machine"),
    "hidden write": (
        "with x as (copy (select 1) to '{outside}/new.csv') select 1",
        "COPY ... TO writes a file",
    ),
    "export": ("export database '{outside}/new'", "EXPORT DATABASE writes the folder"),
    "log": ("set log_query_path = '{outside}/new.log'", "DuckDB would write a file"),
}
LIMITS = DuckLimits(256 * MIB, 1, Path("/nowhere"), 0)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the user's, that nobody may change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "rates.csv").write_text("rate\n3\n")
    with duckdb.connect(str(folder / "old.db")) as connection:
        connection.execute("create table t as select 1 as a")
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def profile(**output: Any) -> Profile:
    return Profile("tiny", "dev", {"type": "duckdb"} | output, "tiny")


def step(sql: str) -> ExpandedStep:
    return ExpandedStep(name="setup[0]", index=0, kind="sql", sql=sql)


def by_setup(sql: str, folder: Path) -> None:
    recipe = BaselineRecipe(folder, "p", profile(), {}, (step(sql),), None, ())
    ensure_baseline(
        recipe,
        cache=folder / "cache",
        relations=Relations(),
        limits=limits(folder),
        report=lambda line: None,
    )


def by_step(sql: str, folder: Path) -> None:
    runner(folder).run(step(sql), dbt_vars={})


def by_metric(sql: str, folder: Path) -> None:
    with runner(folder).connection() as connection:
        read_metric(connection, PlannedMetric("m", sql))


def by_cell(sql: str, folder: Path) -> None:
    """The condition of a cell holds a query, or ends the statement and begins another."""
    is_read = sql.startswith("create table got as from ")
    where = (
        f"1 in (from {sql.removeprefix('create table got as from ')})" if is_read else f"1; {sql}"
    )
    spec = BindSpec(table="cells", column="a", where="{{ rendered }}")

    def mistaken(key: str, message: str) -> SpecError:
        return SpecError(message, key=key)

    bind = plan_table_bind(
        "x",
        spec,
        relations=Relations(),
        selected={},
        render=lambda text, key: where,
        mistaken=mistaken,
    )
    assert bind is not None
    parameter = ParameterSpec.model_validate(
        {"low": 0.0, "high": 1.0, "current": 0.5, "bind": {"var": "x"}}
    )
    database = folder / "cells.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("create or replace table cells as select 1 as a")
    with authors_connection(
        database,
        profile(),
        project_dir=folder,
        limits=limits(folder),
        allow_external_access=False,
        read_only=True,
    ) as connection:
        check_table_bind(connection, bind, parameter, mistaken)


def by_dagster(sql: str, folder: Path) -> None:
    project = copy_project("tiny", folder / "project")
    cell = {"rate": {"bind": {"table": None, "column": None, "where": None, "var": "y"}}}
    spec = load(
        project,
        tiny_document(scenario={"setup": [], "steps": [{"sql": sql}]}, parameters=cell),
    )
    chosen = Chosen(spec, {"x": 1.0, "rate": 1.0}, "a test")
    steps = expand(spec.scenario.steps)
    run_steps(StepRun(chosen, steps, folder / "main.duckdb", Relations()), report=lambda line: None)


def limits(folder: Path) -> DuckLimits:
    return DuckLimits(256 * MIB, 1, folder / "spill", 64 * MIB)


def runner(folder: Path, *, allowed: bool = False, **output: Any) -> StepRunner:
    return StepRunner(
        StepPlace(
            project_dir=folder,
            profile=profile(**output),
            relations=Relations(),
            database=folder / "tiny.duckdb",
            home=folder / "dbt",
            limits=limits(folder),
            allow_external_access=allowed,
        )
    )


@pytest.mark.parametrize("what", sorted(REFUSED))
@pytest.mark.parametrize("run", [by_setup, by_step, by_metric, by_cell, by_dagster])
def test_sql_of_a_study_reaches_nothing_outside(
    run: Callable[[str, Path], None], what: str, tmp_path: Path, outside: Path
) -> None:
    if run is by_cell and what == "attach to read":
        pytest.skip("a condition cannot attach, only begin another statement, which is refused")
    template, said = REFUSED[what]
    before = everything(outside)
    with pytest.raises((SearchError, duckdb.Error)) as caught:
        run(template.format(outside=outside), tmp_path)
    assert everything(outside) == before
    assert said in str(caught.value), caught.value
    assert isinstance(caught.value, SearchError)


@pytest.mark.parametrize("what", ["write", "attach", "install", "hidden write", "export", "log"])
def test_permission_to_read_is_none_to_write(what: str, tmp_path: Path, outside: Path) -> None:
    template, said = REFUSED[what]
    before = everything(outside)
    with pytest.raises(SearchError, match=said.replace("...", r"\.\.\.")):
        runner(tmp_path, allowed=True).run(step(template.format(outside=outside)), dbt_vars={})
    assert everything(outside) == before


def test_with_permission_files_and_databases_are_read(tmp_path: Path, outside: Path) -> None:
    allowed = runner(tmp_path, allowed=True)
    allowed.run(
        step(
            f"create table a as from '{outside}/rates.csv'; attach '{outside}/old.db' (read_only);"
            " create table b as from old.t"
        ),
        dbt_vars={},
    )
    with allowed.connection() as connection:
        assert connection.execute("select rate, (select a from b) from a").fetchone() == (3, 1)


def test_the_limits_the_schema_and_the_settings_hold_for_setup_too(tmp_path: Path) -> None:
    output = {"schema": "mart", "settings": {"integer_division": True, "threads": 32}}
    recipe = BaselineRecipe(
        tmp_path,
        "p",
        profile(**output),
        {},
        (
            step("create schema mart"),
            step(
                "set memory_limit = '64GB'; create table told as select 7 / 2 as half,"
                " current_setting('memory_limit') as memory, current_setting('threads') as threads"
            ),
        ),
        None,
        (),
    )
    built = ensure_baseline(
        recipe,
        cache=tmp_path / "cache",
        relations=Relations(),
        limits=limits(tmp_path),
        report=lambda line: None,
    )
    with duckdb.connect(str(built.path), read_only=True) as connection:
        told = connection.execute("select * from mart.told").fetchone()
    assert told == (3, "256.0 MiB", 1)


def test_a_baseline_built_with_permission_is_another(tmp_path: Path, outside: Path) -> None:
    sql = f"create table got as from '{outside}/rates.csv'"
    with_permission = BaselineRecipe(
        tmp_path, "p", profile(), {}, (step(sql),), None, (), allow_external_access=True
    )
    without = BaselineRecipe(tmp_path, "p", profile(), {}, (step(sql),), None, ())
    assert with_permission.fingerprint() != without.fingerprint()
