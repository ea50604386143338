"""A project that was not made for a search, through the reference engine: dbt's own numbers."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from studies import changed, factory_of, load

from search.commands.evaluate import evaluate_all
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest, Outcome
from search.scenario.preparation import Prepared, prepare
from search.study import StudySpec
from search.system.child import run_in_child
from search.workers.resources import memory_plan, preparation_limits

pytestmark = pytest.mark.dbt

CANDIDATE = {
    "price_factor": 1.137,
    "promotion_depth": 0.23,
    "promotions": False,
    "north_freight": 0.0555,
}
SPY = (
    "create or replace table spy as select current_setting('memory_limit') as memory,"
    " current_setting('threads') as threads, current_setting('temp_directory') as temp"
)
SETTINGS_MODEL = """
select
    current_setting('memory_limit') as memory,
    current_setting('threads') as threads,
    current_setting('temp_directory') as temp
"""


def warehouse(path: Path) -> Path:
    """Make an existing database of over a hundred relations, with rows of an earlier run."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema shop")
        for number in range(100):
            connection.execute(f"create table t{number} as select {number} as n")
        connection.execute(
            "create table shop.fct_sales as select 99 as month, 'north' as store, 1 as product_id,"
            " 5::bigint as units, 1e9::double as revenue, 0.0::double as cost"
        )
        connection.execute("create view kept as select n from retail.main.t7")
    return path


def document(project: Path, **changes: Any) -> dict[str, Any]:
    """Return the project's own study over an existing database, purging what it holds."""
    own = yaml.safe_load((project / "study.yml").read_text())
    purge = {"sql": "delete from {{ ref('fct_sales') }} where month > 12"}
    months = own["scenario"]["steps"][0] | {"for_each": {"month": [1, 2]}}
    scenario = {
        "dbt_project": str(project),
        "database": "retail.duckdb",
        "steps": [purge, months, {"sql": SPY}],
    }
    metrics = {
        "kept": {"sql": "select n from retail.main.kept"},
        "threads": {"sql": "select threads from spy"},
        "model_threads": {"sql": "select threads from {{ ref('settings') }}"},
        "memory": {"sql": "select replace(memory, ' MiB', '')::double from spy"},
        "model_memory": {
            "sql": "select replace(memory, ' MiB', '')::double from {{ ref('settings') }}"
        },
    }
    return changed(own | {"scenario": own["scenario"] | scenario}, {"metrics": metrics} | changes)


@pytest.fixture(scope="module")
def spec(retail: Path, tmp_path_factory: pytest.TempPathFactory) -> StudySpec:
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(retail.parent, folder / "projects")
    project = folder / "projects" / "retail"
    (project / "models" / "settings.sql").write_text(SETTINGS_MODEL)
    warehouse(folder / "retail.duckdb")
    return load(folder, document(project))


@pytest.fixture(scope="module")
def prepared(spec: StudySpec, shared_results: Path) -> Prepared:
    limits = preparation_limits(spec, memory_plan(spec))
    cache = shared_results / "baselines"
    result: Prepared = run_in_child(prepare, spec, cache, limits, report=lambda line: None)
    return result


@pytest.fixture(scope="module")
def factory(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> DbtEvaluatorFactory:
    return factory_of(prepared.plan, tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module")
def outcomes(factory: DbtEvaluatorFactory, spec: StudySpec) -> list[Outcome]:
    """A candidate, and the same with promotions."""
    plain = spec.model_copy(
        update={"resources": spec.resources.model_copy(update={"engine": "dbt"})}
    )
    requests = [
        EvaluationRequest(trial=number, values=CANDIDATE | {"promotions": promoted})
        for number, promoted in enumerate((False, True))
    ]
    programs = factory.plan.baseline.parent / "programs"
    found: list[Outcome] = run_in_child(
        evaluate_all, factory, plain, programs, requests, report=lambda line: None
    )
    return found


def dbt_by_hand(project: Path, database: Path, *args: str) -> None:
    """Type a dbt command, as without a search."""
    command = [str(Path(sys.executable).parent / "dbt"), "--quiet", *args]
    environment = os.environ | {"RETAIL_DB": str(database)}
    finished = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def by_hand(spec: StudySpec, folder: Path, values: Mapping[str, Any]) -> dict[str, float]:
    """Do what the study says with dbt's own command line and plain DuckDB."""
    project = Path(spec.scenario.dbt_project)
    database = folder / "retail.duckdb"
    shutil.copyfile(spec.file.parent / "retail.duckdb", database)
    dbt_by_hand(project, database, "build", "--select", "resource_type:seed", "stg_calendar")

    def sql(*statements: str) -> list[Any]:
        with duckdb.connect(str(database), config={"threads": 1}) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    sql(
        "update shop.store_settings set setting_value = "
        f"{values['north_freight']} where store = 'north' and setting = 'freight_rate'",
        "delete from shop.fct_sales where month > 12",
    )
    names = ("price_factor", "promotion_depth", "promotions")
    profit = []
    for month in (1, 2):
        dbt_vars = {name: values[name] for name in names} | {"month": month}
        words = ("--exclude", "stg_calendar", "--vars", json.dumps(dbt_vars), "--threads", "1")
        dbt_by_hand(project, database, "run", *words)
        profit.append(float(sql("select profit from shop.fct_month")[0][0]))
    return {
        "revenue": float(sql("select sum(revenue) from shop.fct_sales")[0][0]),
        "profit": sum(profit),
        "wine": float(sql("select units_wine from shop.fct_category_units")[0][0]),
        "logged_units": float(sql("select sum(units) from shop.fct_sales_log")[0][0]),
    }


def test_metrics_are_those_of_dbt_typed_by_hand(
    spec: StudySpec, outcomes: Sequence[Outcome], tmp_path: Path
) -> None:
    found = dict(outcomes[0].metrics)
    expected = by_hand(spec, tmp_path, CANDIDATE)
    assert {name: found[name] for name in expected} == expected
    assert found["kept"] == 7


def test_a_ref_inside_an_if_follows_the_candidate(outcomes: Sequence[Outcome]) -> None:
    regular, promoted = outcomes
    assert regular.failure is None and promoted.failure is None
    assert regular.metrics["revenue"] != promoted.metrics["revenue"]


def test_the_budget_wins_over_profile_and_hooks(outcomes: Sequence[Outcome]) -> None:
    for one in outcomes:
        assert (one.metrics["threads"], one.metrics["model_threads"]) == (1, 1)
        assert (one.metrics["memory"], one.metrics["model_memory"]) == (256.0, 256.0)


def test_rows_of_an_earlier_run_are_purged_and_the_database_is_untouched(
    spec: StudySpec, prepared: Prepared, outcomes: Sequence[Outcome]
) -> None:
    assert outcomes[0].metrics["revenue"] < 1e9
    with duckdb.connect(str(spec.file.parent / "retail.duckdb"), read_only=True) as connection:
        assert connection.execute("select sum(revenue) from shop.fct_sales").fetchone() == (1e9,)
        found = connection.execute("select count(*) from duckdb_tables()").fetchone()
        assert found == (101,)
    content = prepared.baseline.path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == prepared.baseline.content_sha256


def test_the_project_is_only_read(
    spec: StudySpec, outcomes: Sequence[Outcome], factory: DbtEvaluatorFactory
) -> None:
    project = Path(spec.scenario.dbt_project)
    written = {path.name for path in project.iterdir()}
    assert not written & {"retail.duckdb", ".user.yml"}
    assert factory.scratch_parent is not None and list(factory.scratch_parent.iterdir()) == []
    assert all(one.peak_memory_bytes > 0 for one in outcomes)
