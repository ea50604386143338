"""The digits of a literal decide its type, and with it what dbt sends: dbt's number, always."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt_scenario import Around, Mini, turns
from hypothesis import given
from hypothesis import strategies as st

from search.errors import RecordingError
from search.scenario.compiled.literals import literal_class, literal_kind, other_class, same_class
from search.scenario.compiled.program_evaluator import ProgramEvaluatorFactory
from search.scenario.outcome import EvaluationRequest, Outcome
from search.study.parameters import ParameterSpec

LONG = pytest.mark.skipif(os.environ.get("FAULTS") != "all", reason="long; FAULTS=all")
WHOLE = st.integers(-(2**70), 2**70)
DECIMALS = st.floats(-1e17, 1e17, allow_nan=False) | st.decimals(-1000, 1000, places=4).map(float)


def parameter(**document: Any) -> ParameterSpec:
    return ParameterSpec.model_validate({**document, "bind": {"var": "x"}})


@given(WHOLE | DECIMALS, WHOLE | DECIMALS)
def test_literals_of_one_class_have_one_type_in_duckdb(one: Any, other: Any) -> None:
    with duckdb.connect() as connection:
        types = [
            connection.execute(f"select typeof({abs(value)!r})").fetchone()[0]  # type: ignore[index]
            for value in (one, other)
        ]
    for value, type_ in zip((one, other), types, strict=True):
        assert literal_kind(value) in (type_.partition("(")[0], "BIGINT", "HUGEINT", "DOUBLE")
        if isinstance(value, float):
            assert literal_class(value) == type_
    if literal_class(one) == literal_class(other):
        assert types[0] == types[1]


@given(
    st.sampled_from([0.03, 0.1, 0.0312345678, 1e-05, 0.5, 0.123456789]),
    st.floats(0, 1).map(lambda x: round(x, 10)),
)
def test_a_second_value_has_the_type_that_is_asked_for(first: float, wanted: float) -> None:
    spec = parameter(low=0.0, high=1.0, current=first)
    other = other_class(spec, first, wanted)
    assert 0 <= other <= 1  # type: ignore[operator]
    assert other == wanted or literal_class(other) != literal_class(first)
    same = same_class(spec, first, wanted)
    assert same is not None and same != first
    assert literal_class(same) == literal_class(first) and 0 <= same <= 1  # type: ignore[operator]


def both(mini: Mini, values: list[dict[str, Any]]) -> list[tuple[Outcome, Outcome]]:
    """Return what both engines make of candidates; a program is compiled for the current ones."""
    mini.compile()
    factories = (ProgramEvaluatorFactory(mini.library, "overlay"), mini.factory)
    found = []
    for factory in factories:
        evaluator = factory()
        evaluator.open()
        try:
            found.append([evaluator.evaluate(EvaluationRequest(0, one)) for one in values])
        finally:
            evaluator.close()
    return list(zip(*found, strict=True))


def agree(mini: Mini, values: list[dict[str, Any]]) -> list[str]:
    """Both engines give the same metrics, or both fail; return the engine that answered."""
    pairs = both(mini, values)
    for (ours, dbts), one in zip(pairs, values, strict=True):
        assert ours.metrics == dbts.metrics, one
        assert (ours.failure is None) == (dbts.failure is None), one
    return [ours.engine for ours, _ in pairs]


def incremental(change: str, current: float, default: str) -> dict[str, Any]:
    text = (
        "{{ config(materialized='incremental', incremental_strategy='delete+insert', "
        f"unique_key='turn', on_schema_change='{change}') }}}} "
        "select {{ var('turn') }} as turn, "
        f"{{% if var('turn') == 1 %}}{default}{{% else %}}{{{{ var('x') }}}}{{% endif %}} as rate"
    )
    return {
        "models": {"plan.sql": text},
        "parameters": {"x": {"low": -0.5, "high": 2.0, "current": current}},
        "metrics": {"m": "select sum(rate) from plan", "first": "select min(rate) from plan"},
        "steps": 2,
    }


@pytest.mark.dbt
@pytest.mark.parametrize(
    ("change", "current", "default"),
    [
        ("sync_all_columns", 0.0312345678, "0.0312345678"),
        pytest.param("fail", 0.0312345678, "0.0312345678", marks=LONG),
        pytest.param("sync_all_columns", 0.03, "0.0312345678", marks=LONG),
        pytest.param("append_new_columns", 0.03, "0.0312345678", marks=LONG),
    ],
)
def test_incremental_models_alter_append_or_fail_as_dbt_does(
    change: str, current: float, default: str, tmp_path: Path
) -> None:
    mini = Mini(tmp_path / "mini", **incremental(change, current, default))
    values = [{"x": one} for one in (current, 0.0712345678, -0.25, 1e-05)]
    engines = agree(mini, values)
    assert engines[0] == "compiled"


@pytest.mark.dbt
def test_a_contract_refuses_what_it_refuses_in_dbt(tmp_path: Path) -> None:
    contract = """
models:
  - name: priced
    config: {contract: {enforced: true}, materialized: table}
    columns: [{name: rate, data_type: "decimal(11,10)"}]
"""
    mini = Mini(
        tmp_path / "mini",
        {"priced.sql": "select {{ var('x') }} as rate", "priced.yml": contract},
        {"x": {"low": 0.0, "high": 1.0, "current": 0.0312345678}},
        {"m": "select rate from priced"},
    )
    pairs = both(mini, [{"x": one} for one in (0.0312345678, 0.1, 1e-05, 0.9876543219)])
    assert [ours.failure is None for ours, _ in pairs] == [True, False, False, True]
    assert all(ours.metrics == dbts.metrics for ours, dbts in pairs)
    assert (pairs[0][0].engine, pairs[3][0].engine) == ("compiled", "compiled")


@pytest.mark.dbt
def test_a_kind_of_literal_that_was_not_recorded_is_left_to_dbt(tmp_path: Path) -> None:
    mini = Mini(
        tmp_path / "mini",
        {"m.sql": "select {{ var('x') }} as v, length('{{ var('y') }}') as w"},
        {name: {"low": 0.0, "high": 1.0, "current": 0.25} for name in ("x", "y")},
        {"m": "select v + w + length(typeof(v)) from m"},
        project={"models": {"mini": {"+materialized": "table"}}},
    )
    values = [{"x": 0.5, "y": 1e-05}, {"x": 1e-05, "y": 0.5}, {"x": 0.0001, "y": 0.5}]
    assert agree(mini, values) == ["compiled", "dbt", "compiled"]


@pytest.mark.dbt
def test_products_unions_snapshots_and_big_numbers_are_dbts(tmp_path: Path) -> None:
    snapshot = """
{% snapshot kept %}
{{ config(target_schema='main', unique_key='k', strategy='check', check_cols=['v']) }}
select k, v from {{ ref('united') }}
{% endsnapshot %}
"""
    models = {
        "product.sql": "select 100 * {{ var('x') }} as v, {{ var('n') }} * 3 as big",
        "united.sql": "select 1 as k, {{ var('x') }} as v union all "
        "select 2, round({{ var('x') }} * {{ var('y') }}, 3) union all select 3, 0.12345 * "
        "{{ var('y') }} union all select 4, length('{{ var('word') }}')",
    }
    mini = Mini(
        tmp_path / "mini",
        models,
        {
            "x": {"low": -5.0, "high": 99.0, "current": 1.5},
            "y": {"low": 1e-06, "high": 1.0, "log": True, "current": 0.001},
            "n": {"low": 1, "high": 2**40, "type": "integer", "current": 5},
            "word": {"choices": ["a", "bb", "ccc"], "current": "a"},
        },
        {
            "v": "select sum(v) from product",
            "big": "select sum(big) from product",
            "u": "select sum(v) from united",
            "kept": "select count(*) + sum(v) from kept",
        },
        project={"models": {"mini": {"+materialized": "table"}}},
        steps=turns(2, "build"),
        around=Around(files={"snapshots/kept.sql": snapshot}),
    )
    start = mini.current
    values = [
        start,
        start | {"x": 1.2345678901234567},  # the product overflows DECIMAL(18)
        start | {"x": -3.25, "y": 2e-06, "n": 2**31 + 7, "word": "ccc"},
        start | {"x": 10.0, "y": 0.1, "n": 2**40},
        start | {"x": 98.76543219, "y": 0.3333333333, "n": 700},
    ]
    assert agree(mini, values) == ["compiled"] * 5


@pytest.mark.dbt
def test_each_name_among_choices_is_recorded(tmp_path: Path) -> None:
    models = {
        "base.sql": "select 1 as a, 2.5 as b, 'text' as c",
        "m.sql": "select {{ var('column') }}::varchar as v from {{ ref('base') }}",
    }
    mini = Mini(
        tmp_path / "mini",
        models,
        {"column": {"choices": ["a", "b", "c", "base"], "current": "a"}},
        {"m": "select length(v) from m"},
    )
    program, _ = mini.compile()
    assert {check.values["column"] for check in program.checks} == {"a", "b", "c", "base"}


@pytest.mark.dbt
@pytest.mark.parametrize("sides", ["below", "opposite", "nowhere"])
def test_current_values_may_stand_at_the_edge_of_a_failing_region(
    sides: str, tmp_path: Path
) -> None:
    condition = {
        "below": "{{ var('x') }} > 0.25 or {{ var('n') }} > 5",
        "opposite": "{{ var('x') }} > 0.25 or {{ var('n') }} < 5",
        "nowhere": "{{ var('x') }} <> 0.25",
    }[sides]
    mini = Mini(
        tmp_path / "mini",
        {"m.sql": f"select case when {condition} then error('too much') else {{{{ var('x') }}}} "
         "* {{ var('n') }} end as v"},
        {
            "x": {"low": 0.0, "high": 1.0, "current": 0.25},
            "n": {"low": 1, "high": 10, "type": "integer", "current": 5},
        },
        {"m": "select v from m"},
        project={"models": {"mini": {"+materialized": "table"}}},
    )  # fmt: skip
    if sides == "nowhere":
        with pytest.raises(RecordingError, match=r"fails at all other values of x .*too much"):
            mini.compile()
        return
    program, _ = mini.compile()
    first, second = program.checks[:2]
    assert all(first.values[name] != second.values[name] for name in ("x", "n"))
