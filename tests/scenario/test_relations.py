from __future__ import annotations

from typing import Any

import pytest

from search.errors import SpecError
from search.scenario.relations import Relations, render_sql

RELATIONS = Relations(
    refs={"sales": '"shop"."main"."sales"', "rules.sales": '"shop"."rules"."sales"'},
    sources={"raw.orders": '"shop"."raw"."orders"'},
    node_ids={"sales": "model.shop.sales"},
)


def render(template: str, **more: Any) -> str:
    return render_sql(template, RELATIONS, scenario_vars={"year": 2026}, **more)


@pytest.mark.parametrize(
    ("template", "sql"),
    [
        ("select 1 from {{ ref('sales') }};", 'select 1 from "shop"."main"."sales"'),
        ("from {{ ref('rules', 'sales') }}", 'from "shop"."rules"."sales"'),
        ("from {{ source('raw', 'orders') }}", 'from "shop"."raw"."orders"'),
        ("select {{ var('year') }}, {{ var('month', 7) }}", "select 2026, 7"),
        ("{% for i in range(2) %}{{ i }},{% endfor %}", "0,1,"),
    ],
)
def test_templates_render_as_in_dbt(template: str, sql: str) -> None:
    assert render(template) == sql


def test_the_loops_name_is_known() -> None:
    assert render("select {{ quarter }}", loop=("quarter", 3)) == "select 3"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ ref('sale') }}", "did you mean 'sales'"),
        ("{{ source('raw', 'order') }}", "did you mean 'raw.orders'"),
        (
            "{{ var('month') }}",
            "must be one of scenario.vars, of the parameters or of the project:",
        ),
        ("{{ quarter }}", "'quarter' is undefined"),
        ("{% if %}", "does not render"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "does not render"),
    ],
)
def test_mistakes_say_what_is_wrong(template: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        render(template)


def test_plain_names_find_refs_and_sources() -> None:
    assert RELATIONS.find("sales") == '"shop"."main"."sales"'
    assert RELATIONS.find("orders") == '"shop"."raw"."orders"'
    assert RELATIONS.find("nothing") is None
