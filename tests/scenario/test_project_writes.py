"""Whatever a dbt project writes, a study leaves the world as it was: real dbt, real files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest
from studies import copy_project, dbt_document, load

from search.commands.evaluate import evaluate_all
from search.driver.engine import prepare_engine
from search.scenario.compiled.recording import RecordingEvaluator
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest, Outcome
from search.scenario.preparation import prepare
from search.study import StudySpec
from search.system.child import run_in_child
from search.system.confinement import landlock_version
from search.workers.resources import evaluator_factory, memory_plan, preparation_limits

pytestmark = pytest.mark.dbt

MODELS = {
    "hooked.sql": (
        "{{ config(materialized='table',"
        " pre_hook=\"copy (select 1 as a) to '{outside}/pre.csv'\","
        " post_hook=\"copy {{ this }} to 'out.csv'\") }} select {{ var('x') }} as a"
    ),
    "exported.sql": (
        "{{ config(materialized='external', location=var('place')) }}"
        " select range as id, {{ var('x') }} * 1.0 as a from range(10)"
    ),
    "again.sql": "{{ config(materialized='table') }} select sum(a) as a from {{ ref('exported') }}",
    "loose.sql": (
        "{{ config(materialized='table', post_hook=\"export database 'dump'\") }}"
        " select a from read_csv('out.csv') -- depends_on: {{ ref('hooked') }}"
    ),
    "new_database.sql": (
        "{{ config(materialized='table', pre_hook=["
        "{'sql': \"attach if not exists 'fresh.db' as fresh\", 'transaction': false},"
        " {'sql': \"create or replace table fresh.main.t as select {{ var('x') }} as a\","
        " 'transaction': false}]) }} select a from fresh.main.t"
    ),
    "by_hand.py": (
        "def model(dbt, session):\n    dbt.config(materialized='table')\n"
        "    import tempfile\n    tempfile.NamedTemporaryFile().close()\n"
        "    from pyarrow import csv\n    csv.read_csv('{outside}/native.csv')\n"
        "    return session.sql('select 1 as a')\n"
    ),
}


def checksums(*folders: Path) -> dict[str, str]:
    files = [one for folder in folders for one in sorted(folder.rglob("*")) if one.is_file()]
    return {str(one): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the user's that the project points at."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "pre.csv").write_text("a\n100\n")
    (folder / "native.csv").write_text("a\n1\n")
    duckdb.connect().execute(f"copy (select 1 as id, 100.0 as a) to '{folder}/sales.parquet'")
    return folder


@pytest.fixture
def write(tmp_path: Path, outside: Path) -> Callable[..., StudySpec]:
    """Writes a project with some models and a study of it."""

    def make(
        models: dict[str, str], metric: str, *, project: str = "", **scenario: Any
    ) -> StudySpec:
        folder = copy_project("tiny", tmp_path / "project")
        (folder / "out.csv").write_text("a\n100\n")
        for name, text in models.items():
            (folder / "models" / name).write_text(text.replace("{outside}", str(outside)))
        with (folder / "dbt_project.yml").open("a") as file:
            file.write(project)
        names = [name.rsplit(".", 1)[0] for name in models] + ["fct_result"]
        document = dbt_document(
            scenario={
                "vars": {"place": f"{outside}/sales.parquet"},
                "steps": [{"dbt": {"command": "run", "select": names}}],
            }
            | scenario,
            metrics={"v": {"sql": metric}},
        )
        return load(folder, document)

    return make


def factory_of(spec: StudySpec, cache: Path) -> DbtEvaluatorFactory:
    memory = memory_plan(spec)
    prepared = prepare(spec, cache, preparation_limits(spec, memory), report=lambda line: None)
    return evaluator_factory(spec, prepared.plan, memory)


def evaluate(factory: DbtEvaluatorFactory, *xs: float) -> list[Outcome]:
    evaluator = factory()
    evaluator.open()
    try:
        return [evaluator.evaluate(EvaluationRequest(0, {"x": x, "rate": 1.0})) for x in xs]
    finally:
        evaluator.close()


def test_each_candidate_has_its_own_files(
    write: Callable[..., StudySpec], tmp_path: Path, outside: Path
) -> None:
    metric = (
        "select (select a from {{ ref('again') }}) + (select a from {{ ref('loose') }}) * 100"
        " + (select max(a) from {{ ref('exported') }}) * 10000"
        " + (select a from {{ ref('new_database') }}) * 1000000"
    )
    hook = "on-run-end: [\"copy (select 1) to 'end.csv'\", \"set log_query_path = 'q.log'\"]\n"
    spec = write(MODELS, metric, project=hook)
    before = checksums(tmp_path / "project", outside)
    factory = factory_of(spec, tmp_path / "results" / ".cache")
    outcomes = evaluate(factory, 2.0, 3.0)
    assert [one.failure for one in outcomes] == [None, None]
    assert [one.metrics["v"] for one in outcomes] == [x * 1010110 for x in (2.0, 3.0)]
    assert checksums(tmp_path / "project", outside) == before
    assert factory.plan.world is not None
    # Where this process has had a library's threads at work before, the model is named instead.
    known = factory.plan.world.inputs()
    assert known.keys() & {f"file {outside}/native.csv", "remote files by model by_hand"}
    told = "\n".join(factory.plan.world.warnings())
    for named in ("exported", "hooked", "pre.csv", "out.csv", "end.csv", "dump", "fresh.db"):
        assert named in told


def test_what_only_leaves_is_no_obstacle_to_replay(
    write: Callable[..., StudySpec], tmp_path: Path
) -> None:
    spec = write(
        {name: MODELS[name] for name in ("hooked.sql", "exported.sql")},
        "select a from {{ ref('hooked') }}",
    )
    recorder = RecordingEvaluator(factory_of(spec, tmp_path / "results" / ".cache"))
    recorder.open()
    try:
        recording = recorder.record(EvaluationRequest(0, {"x": 2.0, "rate": 1.0}))
    finally:
        recorder.close()
    assert recording.metrics == {"v": 2.0}
    assert not recording.unsupported


REFUSED = {
    "model.tiny.by_hand": {
        "by_hand.py": (
            "def model(dbt, session):\n    dbt.config(materialized='table')\n"
            "    open('{outside}/pre.csv', 'w').write('x')\n"
            "    return session.sql('select 1 as a')\n"
        )
    },
    "model.tiny.by_session": {
        "by_session.py": (
            "def model(dbt, session):\n    dbt.config(materialized='table')\n"
            "    session.sql(\"copy (select 1) to '{outside}/pre.csv'\")\n"
            "    return session.sql('select 1 as a')\n"
        )
    },
    "model.tiny.secretive": {
        "secretive.sql": (
            "{{ config(pre_hook='create persistent secret s (type s3)') }} select 1 as a"
        )
    },
    "model.tiny.elsewhere": {
        "elsewhere.sql": (
            "{{ config(pre_hook=\"attach '{outside}/old.db' as old\","
            " post_hook='insert into old.main.t values (6)') }} select 1 as a"
        )
    },
}


@pytest.mark.parametrize("model", sorted(REFUSED))
def test_what_cannot_be_led_elsewhere_is_refused_by_name(
    model: str, write: Callable[..., StudySpec], tmp_path: Path, outside: Path
) -> None:
    if model == "model.tiny.by_hand" and not landlock_version():
        pytest.skip("this kernel has no Landlock")
    with duckdb.connect(str(outside / "old.db")) as old:
        old.execute("create table t as select 5 as a")
    spec = write(REFUSED[model], "select result from {{ ref('fct_result') }}")
    before = checksums(tmp_path / "project", outside)
    factory = factory_of(spec, tmp_path / "results" / ".cache")
    (outcome,) = evaluate(factory, 2.0)
    failure = outcome.failure
    assert failure is not None
    assert (failure.stage, failure.model) == ("outside", model)
    assert model != "model.tiny.elsewhere" or "old.db" in failure.message
    assert "Traceback" not in failure.message and "study must not do" in failure.message
    assert checksums(tmp_path / "project", outside) == before


def test_what_the_setup_writes_each_candidate_reads_in_both_engines(
    write: Callable[..., StudySpec], tmp_path: Path, outside: Path
) -> None:
    models = {name: MODELS[name] for name in ("hooked.sql", "exported.sql")}
    models["later.sql"] = (
        "{{ config(materialized='table') }} select {{ var('x') }} * ("
        "(select a from read_csv('out.csv')) + (select sum(a) from {{ ref('exported') }})) as a"
    )
    spec = write(
        models,
        "select a + (select count(*) from 'out.csv')"
        " + 0 * (select result from {{ ref('fct_result') }}) from {{ ref('later') }}",
        vars={"place": f"{outside}/sales.parquet"},
        setup=[
            {"dbt": {"command": "run", "select": "hooked exported", "vars": {"x": 3.0, "y": 1.0}}}
        ],
        steps=[{"dbt": {"command": "run", "select": "later fct_result"}}],
        allow_external_access=True,
    )
    spec = spec.model_copy(
        update={"resources": spec.resources.model_copy(update={"engine": "auto"})}
    )
    before = checksums(tmp_path / "project", outside)
    factory = factory_of(spec, tmp_path / "results" / ".cache")
    assert [one.metrics["v"] for one in evaluate(factory, 1.0, 2.0)] == [34.0, 67.0]
    engine = prepare_engine(factory, spec, tmp_path / "programs", report=lambda line: None)
    assert engine.name == "compiled", engine.warnings
    assert [one.metrics["v"] for one in evaluate(engine.factory, 1.0, 2.0)] == [34.0, 67.0]
    again = factory_of(spec, tmp_path / "results" / ".cache")
    assert again.plan.setup_files == factory.plan.setup_files is not None
    assert checksums(tmp_path / "project", outside) == before


def test_two_workers_never_see_each_others_files(
    write: Callable[..., StudySpec], tmp_path: Path, outside: Path
) -> None:
    models = {name: MODELS[name] for name in ("exported.sql", "again.sql", "hooked.sql")}
    models["loose.sql"] = (
        "{{ config(materialized='table') }} select a from read_csv('out.csv')"
        " -- depends_on: {{ ref('hooked') }}"
    )
    metric = "select (select a from {{ ref('again') }}) + (select a from {{ ref('loose') }}) * 100"
    spec = write(models, metric)
    before = checksums(tmp_path / "project", outside)
    factory = factory_of(spec, tmp_path / "results" / ".cache")
    halves = [[2.0, 3.0, 4.0], [5.0, 6.0, 7.0]]
    with ThreadPoolExecutor(2) as both:
        at_once = []
        for xs in halves:
            requests = [EvaluationRequest(0, {"x": x, "rate": 1.0}) for x in xs]
            call = (evaluate_all, factory, spec, tmp_path / "programs", requests, "dbt")
            at_once.append(both.submit(run_in_child, *call, report=lambda line: None))
        found = [[one.metrics["v"] for one in half.result()] for half in at_once]
    assert found == [[x * 110 for x in xs] for xs in halves]
    assert checksums(tmp_path / "project", outside) == before
