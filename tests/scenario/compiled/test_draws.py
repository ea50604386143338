"""Draws are named; with a seed they are the same in both engines and for every candidate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dbt_scenario import Around, Mini, silent, turns
from isolations import ISOLATIONS

from search.errors import RecordingError, SpecError
from search.scenario.compiled.draws import drawing_files, draws_of
from search.scenario.compiled.library import Library
from search.scenario.compiled.program_evaluator import ProgramEvaluatorFactory
from search.scenario.compiled.source import Source
from search.scenario.outcome import EvaluationRequest
from search.scenario.plan import PlannedMetric
from search.scenario.seeds import Seeder, set_seed
from search.study import study_from_document
from search.study.steps import ExpandedStep


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select RANDOM ( ) from t", ["random"]),
        ("select random from t -- random()", []),
        ("select 'random()', \"random\" from t", []),
        ("select gen_random_uuid(), uuidv7()", ["gen_random_uuid", "uuidv7"]),
        ("from t using sample 5", ["sample"]),
        ("from t tablesample reservoir(5 rows)", ["sample"]),
        ("from t tablesample bernoulli(5%) repeatable (3)", []),
        ("select nextval('s'), setseed(0.5), now(), hash(1)", []),
    ],
)
def test_what_draws_is_found(sql: str, names: list[str]) -> None:
    assert [draw.name for draw in draws_of(sql)] == names


def test_files_that_draw_are_named(tmp_path: Path) -> None:
    (tmp_path / "dice.sql").write_text("{# random() #} select uuid() as id")
    (tmp_path / "calm.sql").write_text("{# random() #} select 1")
    assert list(drawing_files(tmp_path, ["dice.sql", "calm.sql", "gone.sql", "x.csv"])) == [
        "dice.sql draws with uuid()"
    ]


def test_templates_that_draw_are_named(tmp_path: Path) -> None:
    (tmp_path / "dice.sql").write_text("select {{ range(1, 7) | random }} as d")
    (tmp_path / "calm.sql").write_text("{# {{ [1] | random }} #} select a | random from t")
    assert list(drawing_files(tmp_path, ["dice.sql", "calm.sql"])) == [
        "dice.sql draws with Jinja's filter random"
    ]


JINJA_DICE = {
    "m.sql": "select {{ range(1000) | random }} + {{ thrown() }} * {{ var('x') }} as v",
}
THROWN = {"macros/thrown.sql": "{% macro thrown() %}{{ range(1000) | random }}{% endmacro %}"}


@pytest.mark.dbt
@pytest.mark.parametrize("has_replications", [False, True])
def test_a_draw_of_jinjas_follows_the_seed(has_replications: bool, tmp_path: Path) -> None:
    mini = jinja_dice(tmp_path / "mini", seed=42, has_replications=has_replications)
    requests = [EvaluationRequest(0, {"x": x}, seed) for seed in (42, 43) for x in (0.5, 0.3)]
    by_dbt = [one["v"] for one in evaluated(mini.factory, requests)]
    assert by_dbt == [one["v"] for one in evaluated(mini.factory, requests)]
    assert by_dbt[0] != by_dbt[2] and by_dbt[0] > by_dbt[1]
    if has_replications:
        with pytest.raises(RecordingError, match="model.mini.m draws with Jinja's filter random"):
            mini.library.find_or_compile(mini.current, report=silent)
        return
    mini.library.find_or_compile(mini.current, report=silent)
    for isolation in ISOLATIONS:
        replay = ProgramEvaluatorFactory(mini.library, isolation)
        assert [one["v"] for one in evaluated(replay, requests[:2])] == by_dbt[:2]


@pytest.mark.dbt
def test_a_draw_of_jinjas_without_a_seed_is_named(tmp_path: Path) -> None:
    mini = jinja_dice(tmp_path / "mini", seed=None)
    with pytest.raises(RecordingError, match="model.mini.m draws with .* set scenario.seed"):
        mini.library.find_or_compile(mini.current, report=silent)


def jinja_dice(folder: Path, *, seed: int | None, has_replications: bool = False) -> Mini:
    mini = Mini(
        folder,
        JINJA_DICE,
        {"x": {"low": 0.1, "high": 0.9, "current": 0.5}},
        {"v": "select v from m"},
        project={"models": {"mini": {"+materialized": "table"}}},
        around=Around(THROWN),
    )
    plan = replace(mini.plan, seed=seed, has_replications=has_replications)
    mini.factory = replace(mini.factory, plan=plan)
    mini.library = Library.of(Source(mini.factory, mini.parameters, seed), folder / "programs")
    return mini


def test_each_statement_of_a_text_has_its_own_seed() -> None:
    seeder = Seeder(7)
    seeder.begin("steps[0]")
    text = seeder.seeded("insert into t select random(); select random()", "model.a.b")
    first, second = (set_seed(7, f"steps[0]|model.a.b|{n}") for n in (0, 1))
    assert [line.strip() for line in text.splitlines()] == [
        f"{first};", "insert into t select random();", f"{second};", "select random();",
    ]  # fmt: skip
    # A file that leaves the project is not written in every engine: nothing follows from it.
    assert [seeder.seeded(f"copy t to '{name}'", "model.a.b").splitlines()[0] for name in "ab"] == [
        f"{second};"
    ] * 2
    assert seeder.seeded("create schema if not exists s", None) == "create schema if not exists s;"


DICE = {
    "dice.sql": "select range as k, random() as r from range(200)",
    "rolled.sql": "{{ config(materialized='view') }} select k, r, random() as again from "
    "{{ ref('dice') }}",
    "picked.sql": "select * from {{ ref('rolled') }} using sample 40",
    "grown.sql": "{{ config(materialized='incremental') }} select k, again + random() as v, "
    "{{ var('turn') }} as turn from {{ ref('rolled') }} where r < {{ var('x') }}",
    "apart.sql": "select sum(r) as s from {{ ref('dice') }}",
}
METRICS: dict[str, str | PlannedMetric] = {
    "v": "select sum(v) from grown",
    "n": "select count(*) from grown",
    "picked": "select sum(r + again) from picked",
    "apart": "select s from apart",
    "drawn": "select random() + sum(again) from rolled",
}


def seeded(folder: Path, *, seed: int | None, has_replications: bool = False) -> Mini:
    own = ExpandedStep(
        "steps[2]", 2, "sql", sql="create table own as select random() as q; "
        "insert into own select random() + q from own"
    )  # fmt: skip
    mini = Mini(
        folder,
        DICE,
        {"x": {"low": 0.1, "high": 0.9, "current": 0.5}},
        METRICS | {"own": "select sum(q) from own"},
        project={"models": {"mini": {"+materialized": "table"}}},
        steps=[*turns(2), own],
    )
    plan = replace(mini.plan, seed=seed, has_replications=has_replications)
    mini.factory = replace(mini.factory, plan=plan)
    mini.library = Library.of(Source(mini.factory, mini.parameters, seed), folder / "programs")
    return mini


def evaluated(factory: Any, requests: list[EvaluationRequest]) -> list[dict[str, float]]:
    evaluator = factory()
    evaluator.open()
    try:
        outcomes = [evaluator.evaluate(one) for one in requests]
    finally:
        evaluator.close()
    assert all(one.failure is None for one in outcomes), [one.failure for one in outcomes]
    return [dict(one.metrics) for one in outcomes]


@pytest.mark.dbt
@pytest.mark.parametrize("has_replications", [False, True])
def test_a_seed_makes_draws_equal_in_both_engines(has_replications: bool, tmp_path: Path) -> None:
    mini = seeded(tmp_path / "mini", seed=42, has_replications=has_replications)
    program, _ = mini.library.find_or_compile(mini.current, report=silent)
    seeds = (42, 43) if has_replications else (None, 42)
    requests = [EvaluationRequest(0, {"x": x}, seed) for seed in seeds for x in (0.5, 0.3)]
    by_dbt = evaluated(mini.factory, requests)
    for isolation in ISOLATIONS:
        assert evaluated(ProgramEvaluatorFactory(mini.library, isolation), requests) == by_dbt
    # Candidates share their chance; another seed is another chance.
    assert by_dbt[0]["apart"] == by_dbt[1]["apart"]
    assert by_dbt[0]["drawn"] == by_dbt[1]["drawn"]
    assert by_dbt[0]["v"] != by_dbt[1]["v"]
    assert (by_dbt[0]["apart"] == by_dbt[2]["apart"]) is not has_replications
    hoisted = {program.flow.operations[i].statement.node for i in program.split.hoisted}
    assert ("model.mini.dice" in hoisted) is not has_replications


@pytest.mark.dbt
def test_without_a_seed_the_reason_names_function_and_model(tmp_path: Path) -> None:
    mini = seeded(tmp_path / "mini", seed=None)
    with pytest.raises(
        RecordingError, match=r"model\.mini\.dice draws with random\(\).*scenario\.seed"
    ):
        mini.library.find_or_compile(mini.current, report=silent)


@pytest.mark.dbt
def test_ids_that_no_metric_reads_are_compiled_and_named(tmp_path: Path) -> None:
    mini = Mini(
        tmp_path / "mini",
        {"m.sql": "select uuid() as id, range * {{ var('x') }} as v from range(4)"},
        {"x": {"low": 0.1, "high": 0.9, "current": 0.5}},
        {"v": "select sum(v) from m"},
        project={"models": {"mini": {"+materialized": "table"}}},
    )
    program, _ = mini.compile()
    assert any("model.mini.m draws with uuid()" in text for text in program.warnings)


@pytest.mark.dbt
def test_a_project_that_differs_from_itself_is_told(tmp_path: Path) -> None:
    mini = Mini(
        tmp_path / "mini",
        {"m.sql": "select ascii(uuid()::varchar) + hash(uuid()) % 1000 * {{ var('x') }} as v"},
        {"x": {"low": 0.1, "high": 0.9, "current": 0.5}},
        {"v": "select v from m"},
        project={"models": {"mini": {"+materialized": "table"}}},
    )
    says = r"not repeatable: .*dbt itself gives v = .*model\.mini\.m draws with uuid\(\)"
    with pytest.raises(RecordingError, match=says):
        mini.compile()


DOCUMENT: dict[str, Any] = {
    "study": "dice",
    "parameters": {"x": {"low": 0.1, "high": 0.9, "current": 0.5, "bind": {"var": "x"}}},
    "metrics": {"m": {"sql": "select 1"}},
    "targets": {"m": {"value": 1}},
}


def load(**scenario: Any) -> Any:
    steps = {"dbt_project": "p", "steps": [{"dbt": {"command": "run"}}]}
    return study_from_document(DOCUMENT | {"scenario": steps | scenario}, file=Path("s.yaml"))


def test_where_the_seed_goes() -> None:
    assert load().scenario.seeds == (None,)
    assert load(seed=42).scenario.seeds == (42,)
    several = load(seed=42, replications={"values": [1, 2]}).scenario
    assert (several.seeds, several.replication_var) == ((1, 2), None)
    var = load(seed={"var": "s"}, replications={"values": [1, 2]}).scenario
    assert (var.seeds, var.replication_var, var.engine_seed) == ((1, 2), "s", None)
    same = load(seed={"var": "s"}, replications={"var": "s", "values": [1]}).scenario
    assert same.replication_var == "s"
    alone = load(seed={"var": "s"}, vars={"s": 7}).scenario
    assert (alone.seeds, alone.replication_var, alone.has_chance) == ((7,), "s", True)
    assert load(seed=42).seeds_to_confirm == 20 and load().seeds_to_confirm == 0


@pytest.mark.parametrize(
    ("scenario", "says"),
    [
        ({"replications": {"values": [1]}}, "`var` is required, or scenario.seed"),
        (
            {"seed": {"var": "s"}, "replications": {"var": "t", "values": [1]}},
            "scenario.seed names s, but got the text 't'",
        ),
        (
            {"seed": 1, "replications": {"var": "t", "values": [1]}},
            r"scenario.seed is the engine's \(1\), but got the text 't'",
        ),
        ({"seed": 1, "replications": {"values": ["a"]}}, "must be whole numbers"),
        ({"seed": -1}, "seed"),
        ({"seed": {"var": "s"}}, r"the seed that the search tunes on.*vars: \{s: 42\}"),
        ({"seed": "a"}, "seed"),
    ],
)
def test_a_seed_that_cannot_be_is_refused(scenario: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        load(**scenario)
