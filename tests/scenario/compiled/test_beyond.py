"""What cannot be compiled is recognised and named; what looks alike and can be, is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from dbt_scenario import Around, Mini, by_dbt, by_replay, turns

from search.errors import RecordingError
from search.scenario.compiled.lexer import names_in
from search.scenario.compiled.recording import RecordingEvaluator
from search.scenario.outcome import EvaluationRequest
from search.study.steps import ExpandedStep

RATE = {"low": 0.0, "high": 1.0, "current": 0.25}
COUNT = {"low": 1, "high": 4, "type": "integer", "current": 2}
BASE = "select range as k, range * {{ var('x') }} as v from range(10)"

LOOKS = {
    "if": "select {% if var('x') > 0.3 %}1{% else %}2{% endif %} as v",
    "arithmetic": "select {{ var('x') * 2 }} as v",
    "round": "select {{ var('x') | round(0) }} as v",
    "float": "select {{ var('x') | float }} as v",
    "int": "select {{ var('x') | int }} as v",
    "string": "select '{{ (var('x') | string)[:2] }}' as v",
    "replace": "select '{{ var('x') | string | replace('.', '') }}' as v",
    "format": "select {{ '{:.0f}'.format(var('x')) }} as v",
    "truth": "select {{ 1 if var('x') else 2 }} as v",
    "alias": "{{ config(alias='m' ~ (var('x') | string | replace('.', '_'))) }} select 1 as v",
    "join": "select {{ [var('x'), 1] | sum }} as v",
    "max": "select {{ [var('x'), 1] | max }} as v",
}
PRINTS = {
    "plain": "select {{ var('x') }} as v",
    "set": "{% set x = var('x') %} select {{ x }} + {{ -1 }} as v",
    "joined": "select '{{ 'a' ~ var('x') ~ 'b' }}' as v",
    "list": "select {{ [1, var('x')] | join(' + ') }} as v",
    "formatted": "select {{ '{} + 1'.format(var('x')) }} as v",
}


@pytest.mark.dbt
def test_every_look_at_a_value_is_noticed_and_printing_is_none(tmp_path: Path) -> None:
    cases = LOOKS | PRINTS
    mini = Mini(
        tmp_path / "mini",
        {f"m_{name}.sql": text.replace("'x'", f"'{name}'") for name, text in cases.items()},
        {name: RATE for name in cases},
        {"any": "select 1"},
    )
    recorder = RecordingEvaluator(mini.factory)
    recorder.open()
    try:
        recording = recorder.record(EvaluationRequest(0, mini.current))
    finally:
        recorder.close()
    assert set(recording.uses) == set(LOOKS)


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "python model": (
        {"m.py": "def model(dbt, session):\n    return session.sql('select 1 as v')\n"},
        r"model\.mini\.m: is a Python model",
    ),
    "external materialization": (
        {
            "m.sql": "{{ config(materialized='external', location=target.path ~ '.csv') }} "
            "select {{ var('x') }} as v"
        },
        r"model\.mini\.m: COPY \.\.\. TO writes a file",
    ),
    "query of data that a parameter changes": (
        {
            "base.sql": BASE,
            "m.sql": "-- {{ ref('base') }}\n{% set n = run_query('select count(*) from ' ~ "
            "ref('base') ~ ' where v >= 0').columns[0].values()[0] "
            "if execute else 0 %} select {{ n }} as v",
        },
        r"model\.mini\.m asks for data that a parameter changes",
    ),
    "query whose answer stands in the SQL": (
        {
            "base.sql": BASE,
            "m.sql": "-- {{ ref('base') }}\n{% set n = run_query('select max(v) from ' ~ "
            "ref('base')).columns[0].values()[0] if execute else 0 %} select {{ n }} as v",
        },
        r"model\.mini\.m .* no value of x .*it asks for data while it renders its SQL: select max",
    ),
    "query that holds a parameter": (
        {
            "m.sql": "{% set n = run_query('select count(*) from range(9) where range * 10 > ' ~ "
            "var('x')).columns[0].values()[0] if execute else 0 %} select {{ n }} as v",
        },
        r"model\.mini\.m asks for data that a parameter changes",
    ),
    "condition on a float": (
        {"m.sql": LOOKS["if"]},
        r"look at the value of parameter x \(> in model\.mini\.m\), .*be told from two recordings",
    ),
    "session variable": (
        {
            "m.sql": "{{ config(pre_hook='set variable rate = {{ var(\"x\") }}') }} "
            "select getvariable('rate') as v"
        },
        r"model\.mini\.m: SET VARIABLE keeps a value outside the database",
    ),
    "search path": (
        {
            "m.sql": "{{ config(pre_hook=['create schema if not exists other', "
            "'create table if not exists other.t as select 1 as a', "
            "\"set schema = 'other'\"]) }} select {{ var('x') }} as v"
        },
        r"model\.mini\.m: what unqualified names mean must not change",
    ),
    "sequence": (
        {
            "m.sql": "{{ config(pre_hook='create sequence if not exists s') }} "
            "select nextval('s') + {{ var('x') }} as v"
        },
        r"model\.mini\.m: nextval\(\) counts on from where the statement before left it",
    ),
}


@pytest.mark.dbt
@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_cannot_be_compiled_is_refused_with_its_place(case: str, tmp_path: Path) -> None:
    models, message = REFUSED[case]
    mini = Mini(
        tmp_path / "mini",
        models,
        {"x": RATE},
        {"v": "select sum(v) from m"},
        project={"models": {"mini": {"+materialized": "table"}}},
    )
    with pytest.raises(RecordingError, match=message):
        mini.compile()
    assert mini.library.fixed() is None
    assert [one.name for one in mini.library.folder.iterdir()] == ["compiling.lock"]


PLUGIN = """
import pyarrow
from dbt.adapters.duckdb.plugins import BasePlugin


class Plugin(BasePlugin):
    def initialize(self, config):
        pass

    def load(self, source_config):
        return pyarrow.table({"a": [3, 4]})
"""


@pytest.mark.dbt
def test_a_source_that_a_plugin_loads_is_named(tmp_path: Path) -> None:
    sources = "sources: [{name: ext, meta: {plugin: loads}, tables: [{name: a}]}]"
    mini = Mini(
        tmp_path / "mini",
        {"m.sql": "select sum(a) * {{ var('x') }} as v from {{ source('ext', 'a') }}"},
        {"x": RATE},
        {"v": "select v from m"},
        around=Around(
            {"plug/loads.py": PLUGIN, "models/s.yml": sources},
            profile={
                "module_paths": [str(tmp_path / "mini/plug")],
                "plugins": [{"module": "loads"}],
            },
        ),
    )
    assert by_dbt(mini.factory, [mini.current]) == [{"v": 1.75}]
    with pytest.raises(RecordingError, match=r"takes a source that a plugin loads"):
        mini.compile()


COMPILED: dict[str, tuple[dict[str, str], dict[str, Any], tuple[str, ...]]] = {
    "values that only print": (
        {
            "m.sql": "select 3 - ({{ var('rate') }}) + {{ var('rate') }} * 0.5"
            " + {{ var('x') }} * 10 + {{ var('y') }}"
            " + case when {{ var('yes') }} then 100 else 200 end"
            " + hash('{{ var('x') }}-{{ var('rate') }} {{ var('x') }}') % 997 as v"
        },
        {
            "rate": {"low": -2.0, "high": 2.0, "current": -0.5},
            "x": COUNT,
            "y": COUNT,
            "yes": {"choices": [True, False], "current": True},
        },
        (),
    ),
    "choices that are alike": (
        {"m.sql": "select length('{{ var('x') }}') * 10 + length('{{ var('y') }}') as v"},
        {name: {"choices": ["a", "bbb"], "current": "a"} for name in ("x", "y")},
        ("x", "y"),
    ),
    "a loop over an integer": (
        {"m.sql": "select 0 {% for i in range(var('x')) %} + {{ i }} * 2 {% endfor %} as v"},
        {"x": COUNT},
        ("x",),
    ),
    "a pivot whose columns come from the data": (
        {
            "long.sql": "select i % 3 as k, 'c' || (i % 2) as c, i * {{ var('x') }} as v"
            " from range(20) as t (i)",
            "m.sql": "with p as (pivot {{ ref('long') }} on c using sum(v) group by k)"
            " select sum(c0 * (k + 1) + c1) as v from p",
        },
        {"x": COUNT},
        (),
    ),
    "settings that hold for their own session alone": (
        {
            "a.sql": "{{ config(pre_hook='set integer_division = true') }}"
            " select 7 / 2 + {{ var('x') }} as v",
            "m.sql": "select v + 7 / 2 as v from {{ ref('a') }}",
        },
        {"x": COUNT},
        (),
    ),
    "arithmetic on a very small number": (
        {"m.sql": "select {{ var('x') * 3 }} as v"},
        {"x": {"choices": [0.5, 1e-05], "current": 0.5}},
        ("x",),
    ),
    "an alias from a choice": (
        {
            "base.sql": "{{ config(alias='base_' ~ var('x')) }} select length('{{ var('x') }}') v",
            "m.sql": "select v from {{ ref('base') }}",
        },
        {"x": {"choices": ["a", "bbb"], "current": "a"}},
        ("x",),
    ),
}


@pytest.mark.dbt
@pytest.mark.parametrize("case", sorted(COMPILED))
def test_what_looks_alike_is_compiled_and_equals_dbt(case: str, tmp_path: Path) -> None:
    models, parameters, fixed = COMPILED[case]
    mini = Mini(
        tmp_path / "mini",
        models,
        parameters,
        {"v": "select sum(v) + sum(7 / 2) from m"},
        project={"models": {"mini": {"+materialized": "table"}}},
    )
    mini.compile()
    assert mini.library.fixed() == fixed
    candidates = [mini.current, other(parameters)]
    found = by_replay(mini.library, candidates)
    assert found == [[one, one] for one in by_dbt(mini.factory, candidates)]


def other(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a candidate that differs from the current one in each parameter."""
    return {
        name: one["choices"][-1] if "choices" in one else one["high"]
        for name, one in parameters.items()
    }


@pytest.mark.dbt
def test_tables_of_ones_own_and_a_relation_named_after_a_keyword(tmp_path: Path) -> None:
    own = ExpandedStep("steps[0]", 0, "sql", sql="create table own as from range(4) as t (k)")
    models = {
        "base.sql": "{{ config(alias='select', materialized='view') }}"
        " select k, k * {{ var('x') }} as v from mart.own",
        "m.sql": "{{ config(materialized='incremental', incremental_strategy='merge',"
        " unique_key='k') }} select k, v + {{ var('turn') }} as v from {{ ref('base') }}",
    }
    mini = Mini(
        tmp_path / "mini",
        models,
        {"x": RATE},
        {"v": "select sum(v) from mart.m"},
        setup=["create schema mart"],
        steps=[own, *turns(2)],
        around=Around(schema="mart"),
    )
    program, _ = mini.compile()
    assert program.split.exported  # the author's own table is made once, in the profile's schema
    candidates = [mini.current, {"x": 1.0}]
    assert by_replay(mini.library, candidates) == [
        [one, one] for one in by_dbt(mini.factory, candidates)
    ]


OFF_THE_PATH: dict[str, dict[str, str]] = {
    "a python model": {
        "off.py": "def model(dbt, session):\n    return session.sql('select 1 as v')\n"
    },
    "an export by a hook": {
        "off.sql": "{{ config(post_hook=\"copy {{ this }} to '{{ var('out') }}'\") }} "
        "select {{ var('x') }} as v"
    },
    "an external model": {
        "off.sql": "{{ config(materialized='external', location=var('out')) }} "
        "select v from {{ ref('m') }}"
    },
    "a sequence": {
        "off.sql": "{{ config(pre_hook='create sequence if not exists s') }} select nextval('s') v"
    },
}


@pytest.mark.dbt
@pytest.mark.parametrize("case", sorted(OFF_THE_PATH))
def test_what_no_metric_needs_is_left_out_before_it_is_judged(case: str, tmp_path: Path) -> None:
    mini = Mini(
        tmp_path / "mini",
        {"m.sql": "select {{ var('x') }} * 3 as v", **OFF_THE_PATH[case]},
        {"x": RATE},
        {"v": "select v from m"},
        project={
            "models": {"mini": {"+materialized": "table"}},
            "vars": {"out": str(tmp_path / "out.csv")},
        },
    )
    mini.compile()
    candidates = [mini.current, {"x": 0.75}]
    assert by_replay(mini.library, candidates) == [
        [one, one] for one in by_dbt(mini.factory, candidates)
    ]


def test_relations_named_by_a_string_are_relations() -> None:
    assert {"t", "main", "u"} <= names_in("select 't2' from 'main.t', 'u' where a = 'w'")
    assert names_in("select * from a join 'b' using (k) where c in ('d', 'e')") >= {"a", "b"}
    assert {"d", "e"}.isdisjoint(names_in("select * from a where c in ('d', 'e') order by 'd'"))
