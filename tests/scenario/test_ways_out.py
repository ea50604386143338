"""Every way out of the database, at every place where SQL of a study runs: all refused.

The default selection takes every 23rd way at each place, ``-m long`` all of them.
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
from ways_out import WAYS, everything, fill_outside

from search.errors import ScenarioError, SearchError, SpecError
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
from search.scenario.read_log import ReadLog
from search.scenario.relations import Relations
from search.scenario.report_tables import read_tables
from search.scenario.steps import StepPlace, StepRunner, authors_connection
from search.scenario.table_binds import check_table_bind, plan_table_bind
from search.scenario.verification import verify, verify_and_read
from search.study.parameters import BindSpec, ParameterSpec
from search.study.report import ReportSpec
from search.study.scenario import CheckSpec
from search.study.steps import ExpandedStep
from search.workers.contract import EvaluatorFactory


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    fill_outside(folder)
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


def by_verification(sql: str, folder: Path) -> None:
    """What a metric asks when dbt evaluates the winner once more."""
    factory, _ = factories(sql, folder)
    said = verify(factory, [OUT], [{"v": 90.0}], CALM.values, report=lambda line: None)
    assert said.failure is not None, said
    raise SearchError(said.failure)


def by_verified_table(sql: str, folder: Path) -> None:
    """A table of the report that is read while the winner is verified."""
    factory, _ = factories("select 1", folder)
    report = ReportSpec.model_validate({"tables": {"t": {"sql": sql}}})
    _, tables = verify_and_read(
        factory, [CALM], [{"v": 20.0}], CALM.values, None, report, report=lambda line: None
    )
    assert tables is not None and tables.failure is not None, tables
    raise SearchError(tables.failure)


def by_report_step(sql: str, folder: Path) -> None:
    """A step that the report runs before it reads its tables."""
    factory, _ = factories("select 1", folder)
    asked = {"steps": [{"sql": sql}], "tables": {"t": {"sql": "select 1 as a"}}}
    report = ReportSpec.model_validate(asked)
    (tables,) = read_tables(factory, report, [CALM], 1, report=lambda line: None)
    assert tables.failure is not None, tables.tables
    raise SearchError(tables.failure)


PLACES = (
    *(by_setup, by_step, by_metric, by_cell, by_check),
    *(by_dbt_engine, by_compiled_engine, by_report_table, by_report_step),
    *(by_verification, by_verified_table),
)
EVERY = 23


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


def test_there_are_more_than_eighty_ways() -> None:
    assert len(WAYS) >= 80 and len(PLACES) >= 11


@pytest.mark.parametrize(
    "before",
    [
        "select 1 -- glob('{o}/*')",
        "select 1 as glob where 'glob(' <> '{o}/*'",
    ],
)
def test_a_pattern_that_the_study_names_opens_no_folder(
    before: str, tmp_path: Path, outside: Path
) -> None:
    reads = ReadLog(tmp_path)
    runs = StepRunner(replace(runner(tmp_path)._place, reads=reads))
    runs.run(step(before.format(o=outside)), dbt_vars={})
    with pytest.raises(ScenarioError, match="reaches no file"):
        runs.run(step(f"from '{outside}/rates.csv'"), dbt_vars={})
    assert "glob" not in {kind for kind, _ in reads.inputs()}
