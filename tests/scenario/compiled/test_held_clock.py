"""Time stands still in both engines alike, and is later in a later step."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from dbt_scenario import CLOCK, Mini, by_dbt, by_replay

pytestmark = pytest.mark.dbt

MODELS = {
    "seen.sql": "{{ config(materialized='view') }} select epoch(now()) as saw",
    "log.sql": """
        {{ config(materialized='incremental') }}
        select {{ var('turn') }} as turn, {{ var('x') }} as x, epoch(now()) as saw,
            (select saw from {{ ref('seen') }}) as through_a_view,
            epoch('{{ run_started_at }}'::timestamptz) as started,
            {{ modules.datetime.datetime.now(modules.pytz.utc).timestamp() }} as of_jinja,
            day(current_date) as day
    """,
    "fixed.sql": "{{ config(materialized='table') }} select epoch(current_timestamp) as saw",
}


def test_both_engines_see_the_same_moment(tmp_path: Path) -> None:
    mini = Mini(
        tmp_path / "mini",
        MODELS,
        {"x": {"low": 0.0, "high": 9.0, "current": 1.5}},
        {
            "log": "select sum(turn * (saw + through_a_view + started + of_jinja) + x) from log",
            "days": "select string_agg(day, '' order by turn)::integer from log",
            "fixed": "select saw from fixed",
            "read": "select epoch(now()) + (select saw from seen)",
        },
        steps=2,
    )
    first, second = (CLOCK.at(step).timestamp() for step in (0, 1))
    expected = {
        "log": 4 * (first + 2 * second) + 4.0,
        "days": 2929.0,
        "fixed": second,
        "read": 2 * second,
    }
    candidate = {"x": 2.0}
    assert by_dbt(mini.factory, [candidate]) == [expected]
    time.sleep(1.0)
    (found,) = by_replay(mini.library, [candidate])
    assert found == [expected, expected]


def test_a_function_that_a_hook_makes_is_asked_by_the_next_model(tmp_path: Path) -> None:
    mini = Mini(
        tmp_path / "mini",
        {"a.sql": "{{ config(materialized='table') }} select {{ var('x') }} + day(today()) as v"},
        {"x": {"low": 0.0, "high": 9.0, "current": 1.5}},
        {"v": "select v from a"},
        project={"on-run-start": ["create or replace macro main.today() as date '2020-01-31'"]},
    )
    assert CLOCK.moment.day != 31
    assert by_dbt(mini.factory, [{"x": 2.0}]) == [{"v": 33.0}]
