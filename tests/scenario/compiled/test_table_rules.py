"""Constraints, defaults, generated columns and unique indexes hold in the replay as in dbt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from dbt_scenario import Around, Mini
from isolations import ISOLATIONS

from search.scenario.compiled.program_evaluator import ProgramEvaluatorFactory
from search.scenario.compiled.statements import effect_of
from search.scenario.compiled.table_rules import given_columns
from search.scenario.outcome import EvaluationRequest, Outcome

X = {"low": 0.5, "high": 4.0, "current": 1.0}
CONTRACT = json.dumps(
    {
        "models": [
            {
                "name": "m",
                "config": {"contract": {"enforced": True}},
                "columns": [
                    {
                        "name": "v",
                        "data_type": "double",
                        "constraints": [
                            {"type": "not_null"},
                            {"type": "check", "expression": "v < 6"},
                        ],
                    }
                ],
            }
        ]
    }
)
CASES: dict[str, tuple[dict[str, str], list[str], list[str]]] = {
    "a contract's check": (
        {"m.sql": "select cast({{ var('x') }} * 2 as double) as v", "m.yml": CONTRACT}, [], [],
    ),
    "a hook's check and default": (
        {"m.sql": "select sum(v) + sum(w) as v from g"},
        ["create or replace table g (v double check (v < 150), w double default 7)",
         "insert into g (v) values ({{ var('x') }} * 50)"],
        [],
    ),
    "a hook's key, after rows that no parameter reaches": (
        {"m.sql": "select sum(v) as v from g"},
        ["create or replace table g (k int primary key, v double)", "insert into g values (3, 1)",
         "insert into g values (floor({{ var('x') }}), 50)"],
        [],
    ),
    "a hook's generated column": (
        {"m.sql": "select sum(b) as v from g"},
        ["create or replace table g (a double check (a < 3), b double generated always as (a * 2))",
         "insert into g values ({{ var('x') }})"],
        [],
    ),
    "the setup's check, default and generated column": (
        {"m.sql": "select sum(v) + sum(w) + sum(b) as v from g"},
        ["insert into g (v) values ({{ var('x') }} * 50)"],
        ["create table g (v double check (v < 150), b double generated always as (v * 2),"
         " w double default 7)",
         "insert into g (v) values (1)"],
    ),
    "the setup's default alone": (
        {"m.sql": "select case when max(v) < 150 then 1 else sum(w) end as v from g"},
        ["insert into g (v) values ({{ var('x') }} * 50)"],
        ["create table g (v double, w double default 7)"],
    ),
    "the setup's unique index": (
        {"m.sql": "select sum(v) as v from aux.g"},
        ["insert into aux.g values (floor({{ var('x') }}), 50)"],
        ["create schema aux", "create table aux.g (k int, v double)",
         "create unique index only_once on aux.g (k)", "insert into aux.g values (3, 1)"],
    ),
}  # fmt: skip


@pytest.mark.dbt
@pytest.mark.parametrize("case", sorted(CASES))
def test_a_table_keeps_its_rules(case: str, tmp_path: Path) -> None:
    models, hooks, setup = CASES[case]
    mini = Mini(
        tmp_path / "mini",
        {name: text for name, text in models.items() if name.endswith(".sql")},
        {"x": X},
        {"v": "select v from m"},
        setup=setup,
        project={"models": {"mini": {"+materialized": "table"}}, "on-run-start": hooks},
        around=Around({f"models/{n}": text for n, text in models.items() if n.endswith(".yml")}),
    )
    mini.compile()
    for x in (1.0, 2.5, 3.5):  # at 3.5 a rule is broken, or its default counts
        request = EvaluationRequest(0, {"x": x})
        (dbt,) = outcomes(mini.factory, [request])
        for isolation in ISOLATIONS:
            (ours,) = outcomes(ProgramEvaluatorFactory(mini.library, isolation), [request])
            assert ours.engine == "compiled"
            assert ours.metrics == dbt.metrics, isolation
            assert (ours.failure is None) == (dbt.failure is None), (ours.failure, dbt.failure)
        assert (dbt.failure is not None) == (x == 3.5 and "default alone" not in case)


@pytest.mark.dbt
def test_an_incremental_models_unique_index_stops_a_later_turn(tmp_path: Path) -> None:
    model = (
        "{{ config(materialized='incremental', indexes=[{'columns': ['k'], 'unique': true}]) }}"
        "{% if is_incremental() %} select floor({{ var('x') }})::int as k, 1 as v "
        "{% else %} select 3 as k, 5 as v {% endif %}"
    )
    metrics = {"v": "select sum(v) from m"}
    mini = Mini(tmp_path / "mini", {"m.sql": model}, {"x": X}, metrics, steps=2)
    mini.compile()
    requests = [EvaluationRequest(0, {"x": x}) for x in (2.5, 3.5)]
    found = [outcomes(ProgramEvaluatorFactory(mini.library, one), requests) for one in ISOLATIONS]
    for fine, broken in (outcomes(mini.factory, requests), *found):
        assert fine.metrics == {"v": 6.0}
        assert broken.failure is not None and "unique" in broken.failure.message.lower()


def test_which_statements_set_rules() -> None:
    def sets(sql: str) -> bool:
        return effect_of(sql).sets_rules

    assert sets("create table t (a int not null)")
    assert sets("create table t (a int default (1), b int generated always as (a * 2))")
    assert sets("create unique index i on t (a)")
    assert sets("alter table t alter column a set default 3")
    assert not sets("create table t (a int, b varchar)")
    assert not sets("create table t as select a from u where a is not null")
    assert not sets("alter table t add column a int")


def test_columns_that_take_values() -> None:
    assert given_columns(
        'CREATE TABLE s.t("a, b" DECIMAL(3,2) DEFAULT(1), c INTEGER GENERATED ALWAYS AS(("a, b" '
        '* 2)), "check" VARCHAR, PRIMARY KEY("a, b"), CHECK(("check" > 1)));'
    ) == ["a, b", "check"]


def outcomes(factory: Any, requests: Sequence[EvaluationRequest]) -> list[Outcome]:
    evaluator = factory()
    evaluator.open()
    try:
        return [evaluator.evaluate(one) for one in requests]
    finally:
        evaluator.close()
