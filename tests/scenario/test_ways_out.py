"""Every way out of the database, at every place where SQL of a study runs: all refused.

The default selection takes every seventh way at each place, ``-m long`` all of them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from studies import MIB, factory_of, load, plan_of, tiny_document

from search.errors import SearchError, SpecError
from search.scenario.baseline import ensure_baseline
from search.scenario.baseline_recipe import BaselineRecipe
from search.scenario.compiled.library import Library
from search.scenario.compiled.program_evaluator import ProgramEvaluatorFactory
from search.scenario.compiled.source import Source
from search.scenario.data_checks import plan_check, run_check
from search.scenario.duck_limits import DuckLimits
from search.scenario.metric_reader import read_metric
from search.scenario.outcome import EvaluationRequest
from search.scenario.plan import PlannedMetric, Profile
from search.scenario.relations import Relations
from search.scenario.report_tables import read_tables
from search.scenario.steps import StepPlace, StepRunner, authors_connection
from search.scenario.table_binds import check_table_bind, plan_table_bind
from search.study.parameters import BindSpec, ParameterSpec
from search.study.report import ReportSpec
from search.study.scenario import CheckSpec
from search.study.steps import ExpandedStep
from search.workers.contract import EvaluatorFactory

READ = {
    "string": "'{o}/rates.csv'",
    "quoted name": '"{o}/rates.csv"',
    "brackets": "('{o}/rates.csv')",
    "read_csv": "read_csv('{o}/rates.csv')",
    "read_csv_auto": "read_csv_auto('{o}/rates.csv')",
    "quoted function": "\"read_csv\"('{o}/rates.csv')",
    "function with a schema": "main.read_csv('{o}/rates.csv')",
    "read_text": "read_text('{o}/rates.csv')",
    "read_blob": "read_blob('{o}/rates.csv')",
    "read_json": "read_json('{o}/rates.json')",
    "read_json_auto": "read_json_auto('{o}/rates.json')",
    "read_ndjson": "read_ndjson('{o}/rates.json')",
    "json string": "'{o}/rates.json'",
    "read_parquet": "read_parquet('{o}/rates.parquet')",
    "parquet_scan": "parquet_scan('{o}/rates.parquet')",
    "parquet_schema": "parquet_schema('{o}/rates.parquet')",
    "parquet_metadata": "parquet_metadata('{o}/rates.parquet')",
    "parquet string": "'{o}/rates.parquet'",
    "glob": "glob('{o}/*')",
    "sniff_csv": "sniff_csv('{o}/rates.csv')",
    "query": "query('from ''{o}/rates.csv''')",
    "query_table": "query_table(['{o}/rates.csv'])",
    "list of files": "read_csv(['{o}/rates.csv'])",
    "pattern": "'{o}/*.csv'",
    "address": "'http://127.0.0.1:{port}/rates.csv'",
    "process": "read_text('/proc/self/environ')",
}
"""What a query reads from."""

DO = {
    "copy from": "create table c (a int); copy c from '{o}/rates.csv'",
    "attach": "attach '{o}/new.db'",
    "attach to read": "attach '{o}/old.db' (read_only)",
    "import": "import database '{o}/exported'",
    "macro": "create macro m() as table from '{o}/rates.csv'; from m()",
    "prepared": "prepare p as from '{o}/rates.csv'; execute p",
    "open again": "set enable_external_access = true; from '{o}/rates.csv'",
    "reset": "reset enable_external_access; from '{o}/rates.csv'",
    "allow": "set allowed_directories = ['/']; from '{o}/rates.csv'",
    "search path": "set file_search_path = '{o}'; from 'rates.csv'",
    "copy": "copy (select 1) to '{o}/new.csv'",
    "copy parts": "copy (select 1 as a) to '{o}/new' (format parquet, partition_by (a))",
    "hidden copy": "with x as (copy (select 1) to '{o}/new.csv') select 1",
    "explained copy": "explain analyze copy (select 1) to '{o}/new.csv'",
    "prepared copy": "prepare p as copy (select 1) to '{o}/new.csv'; execute p",
    "export": "export database '{o}/new'",
    "install": "install httpfs",
    "load": "load '{o}/some.duckdb_extension'",
    "persistent secret": "create persistent secret s (type http, bearer_token 'a')",
    "log": "set log_query_path = '{o}/new.log'",
    "profile": "pragma enable_profiling; pragma profiling_output = '{o}/new.json'; from range(9)",
    "secrets' folder": "set secret_directory = '{o}'",
    "extensions' folder": "set extension_directory = '{o}'; install httpfs",
}  # fmt: skip
"""What a statement does."""

QUERIES = {name: f"select count(*) from {what}" for name, what in READ.items()}
WAYS = QUERIES | DO


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    with duckdb.connect(str(folder / "old.db")) as connection:
        connection.execute("create table t as select 1 as a")
        connection.execute(f"copy (select 3 as rate) to '{folder / 'rates.csv'}'")
        connection.execute(f"copy (select 3 as rate) to '{folder / 'rates.json'}'")
        connection.execute(f"copy (select 3 as rate) to '{folder / 'rates.parquet'}'")
        connection.execute(f"export database '{folder / 'exported'}'")
    return folder


@pytest.fixture
def port() -> Iterator[int]:
    """Where nobody should call; a call would wait here, and be seen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield int(listener.getsockname()[1])
        with pytest.raises(BlockingIOError):
            listener.accept()


def limits(folder: Path) -> DuckLimits:
    return DuckLimits(256 * MIB, 1, folder / "spill", 64 * MIB)


def profile() -> Profile:
    return Profile("tiny", "dev", {"type": "duckdb"}, "tiny")


def mistaken(key: str, message: str) -> SpecError:
    return SpecError(message, key=key)


def step(sql: str) -> ExpandedStep:
    return ExpandedStep(name="setup[0]", index=0, kind="sql", sql=sql)


def runner(folder: Path) -> StepRunner:
    return StepRunner(
        StepPlace(
            project_dir=folder,
            profile=profile(),
            relations=Relations(),
            database=folder / "tiny.duckdb",
            home=folder / "dbt",
            limits=limits(folder),
            allow_external_access=False,
        )
    )


def by_setup(sql: str, folder: Path) -> None:
    recipe = BaselineRecipe(folder, "p", profile(), {}, (step(sql),), None, ())
    ensure_baseline(
        recipe, cache=folder / "cache", relations=Relations(), limits=limits(folder),
        report=lambda line: None,
    )  # fmt: skip


def by_step(sql: str, folder: Path) -> None:
    try:
        runner(folder).run(step(sql), dbt_vars={})
    except duckdb.Error as error:  # which every caller takes for the step's failure
        raise SearchError(str(error)) from error


def by_metric(sql: str, folder: Path) -> None:
    with runner(folder).connection() as connection:
        read_metric(connection, PlannedMetric("m", sql))


def reading(folder: Path) -> Any:
    database = folder / "cells.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("create or replace table cells as select 1 as a")
    return authors_connection(
        database, profile(), project_dir=folder, limits=limits(folder),
        allow_external_access=False, read_only=True,
    )  # fmt: skip


def by_cell(sql: str, folder: Path) -> None:
    """The condition of a cell holds a query, or ends the statement and begins another."""
    where = f"0 < ({sql})" if sql.startswith("select") else f"1; {sql}"
    spec = BindSpec(table="cells", column="a", where="{{ rendered }}")
    bind = plan_table_bind(
        "x", spec, relations=Relations(), selected={}, render=lambda text, key: where,
        mistaken=mistaken,
    )  # fmt: skip
    assert bind is not None
    parameter = ParameterSpec.model_validate(
        {"low": 0.0, "high": 1.0, "current": 0.5, "bind": {"var": "x"}}
    )
    with reading(folder) as connection:
        check_table_bind(connection, bind, parameter, mistaken)


def by_check(sql: str, folder: Path) -> None:
    given = CheckSpec.model_validate({"sql": sql, "message": "never"})
    check = plan_check("c", given, render=lambda text, key: sql, mistaken=mistaken)
    with reading(folder) as connection:
        run_check(connection, check, mistaken)


def candidates_sql(sql: str) -> str:
    """Return SQL that goes out for some candidates only, none of which is recorded."""
    return "{% if var('x') > 8 %}" + sql + "{% else %}select max(v) from result{% endif %}"


def factories(sql: str, folder: Path) -> tuple[Any, EvaluatorFactory]:
    """Return the reference engine and the compiled one, with a metric that goes out."""
    spec = load(folder / "project", tiny_document(scenario={"steps": [STEP]}))
    plan = plan_of(spec, folder / "baseline" / "tiny.duckdb")
    metric = PlannedMetric("v", "select max(v) from result")
    plan = replace(plan, metrics=(metric,), fingerprints={"scenario": "tiny"})
    factory = factory_of(plan, folder / "scratch")
    library = Library.of(Source(factory, spec.parameters, None), folder / "programs")
    library.find_or_compile({"x": 1.0, "rate": 1.0}, report=lambda line: None)
    moving = replace(metric, template=candidates_sql(sql), vars=("x",))
    factory = replace(factory, plan=replace(factory.plan, metrics=(moving,)))
    library = replace(library, source=replace(library.source, factory=factory))
    return factory, ProgramEvaluatorFactory(library, "overlay")


STEP = {"sql": "create or replace table result as select {{ var('x') }} * 10 as v"}
CALM = EvaluationRequest(trial=1, values={"x": 2.0, "rate": 1.0})
OUT = EvaluationRequest(trial=2, values={"x": 9.0, "rate": 1.0})


def evaluate(factory: EvaluatorFactory, engine: str) -> None:
    evaluator = factory()
    evaluator.open()
    try:
        calm = evaluator.evaluate(CALM)
        assert (calm.metrics, calm.engine) == ({"v": 20.0}, engine), calm.failure
        outcome = evaluator.evaluate(OUT)
        assert outcome.failure is not None, outcome.metrics
        raise SearchError(outcome.failure.message)
    finally:
        evaluator.close()


def by_dbt_engine(sql: str, folder: Path) -> None:
    evaluate(factories(sql, folder)[0], "dbt")


def by_compiled_engine(sql: str, folder: Path) -> None:
    evaluate(factories(sql, folder)[1], "compiled")


def by_report_table(sql: str, folder: Path) -> None:
    factory, _ = factories("select 1", folder)
    report = ReportSpec.model_validate({"tables": {"t": {"sql": sql}}})
    (tables,) = read_tables(factory, report, [CALM], 1, report=lambda line: None)
    assert tables.failure is not None, tables.tables
    raise SearchError(tables.failure)


PLACES = (
    *(by_setup, by_step, by_metric, by_cell, by_check),
    *(by_dbt_engine, by_compiled_engine, by_report_table),
)
EVERY = 7


def everything(folder: Path) -> dict[str, bytes]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def cases() -> Iterator[Any]:
    number = 0
    for place in PLACES:
        for way in WAYS:
            is_chosen = number % EVERY == 0
            number += 1
            yield pytest.param(
                place, way, id=f"{place.__name__}-{way}",
                marks=() if is_chosen else pytest.mark.long,
            )  # fmt: skip


@pytest.mark.parametrize(("place", "way"), list(cases()))
def test_sql_of_a_study_has_no_way_out(
    place: Callable[[str, Path], None], way: str, tmp_path: Path, outside: Path, port: int
) -> None:
    sql = WAYS[way].format(o=outside, port=port)
    before = everything(outside)
    with pytest.raises(SearchError) as caught:
        place(sql, tmp_path)
    assert everything(outside) == before
    assert "unexpected" not in str(caught.value)


def test_there_are_more_than_forty_ways() -> None:
    assert len(WAYS) >= 40 and len(PLACES) >= 8
