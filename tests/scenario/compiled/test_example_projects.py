"""Two projects as people write them, in both engines: Monte Carlo, and layers with an export."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import duckdb
import pytest

from search.driver.engine import Engine, prepare_engine
from search.scenario.evaluator import DbtEvaluatorFactory, Evaluator
from search.scenario.outcome import EvaluationRequest
from search.scenario.preparation import prepare
from search.study import load_study
from search.study.values import Scalar
from search.workers.resources import evaluator_factory, memory_plan, preparation_limits

pytestmark = pytest.mark.dbt
PROJECTS = Path(__file__).parents[2] / "projects"


def prepared(name: str, folder: Path) -> tuple[DbtEvaluatorFactory, Engine]:
    """Return what evaluates a copy of a project: dbt, and the engine that the study chooses."""
    project = folder / name
    shutil.copytree(PROJECTS / name, project)
    if (project / "warehouse.sql").exists():
        with duckdb.connect(str(project / "warehouse.duckdb")) as warehouse:
            warehouse.execute((project / "warehouse.sql").read_text())
    spec = load_study(project / "study.yml")
    memory = memory_plan(spec)
    limits = preparation_limits(spec, memory)
    plan = prepare(spec, folder / "baselines", limits, report=lambda _: None).plan
    factory = evaluator_factory(spec, plan, memory)
    return factory, prepare_engine(factory, spec, folder / "programs", report=lambda _: None)


def metrics(evaluator: Evaluator, values: dict[str, Scalar], seed: int | None) -> dict[str, float]:
    """Return a candidate's metrics, and close the evaluator."""
    evaluator.open()
    try:
        outcome = evaluator.evaluate(EvaluationRequest(0, values, seed))
    finally:
        evaluator.close()
    assert outcome.failure is None, outcome.failure
    return dict(outcome.metrics)


def checksums(folder: Path) -> dict[str, str]:
    return {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_plain_random_is_repeatable_and_the_same_in_both_engines(tmp_path: Path) -> None:
    factory, engine = prepared("montecarlo", tmp_path)
    assert engine.name == "compiled", engine.warnings
    values: dict[str, Scalar] = {"deductible": 730.0, "premium": 381.0}
    by_dbt = metrics(factory(), values, 2)
    assert by_dbt == metrics(engine.factory(), values, 2)
    assert by_dbt != metrics(engine.factory(), values, 3)
    # Common random numbers: a higher deductible can only pay less.
    assert metrics(engine.factory(), values | {"deductible": 740.0}, 2)["paid"] < by_dbt["paid"]


@pytest.mark.long
def test_layers_with_a_snapshot_an_attached_database_and_an_export(tmp_path: Path) -> None:
    factory, engine = prepared("medallion", tmp_path)
    before = checksums(tmp_path / "medallion")
    assert engine.name == "compiled", engine.warnings
    values: dict[str, Scalar] = {"price_factor": 1.1, "rebate": 0.12}
    by_dbt = metrics(factory(), values, None)
    assert by_dbt == metrics(engine.factory(), values, None)
    assert by_dbt["price_changes"] == 8  # two changes of four prices, each at a later moment
    assert checksums(tmp_path / "medallion") == before
    assert f"file {tmp_path}/medallion/warehouse.duckdb" in factory.plan.inputs()
