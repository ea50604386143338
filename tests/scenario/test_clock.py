"""Numbers that follow from the clock hold for one day: it is told, and the next day starts anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from studies import copy_project, dbt_document, load

from search.driver.engine import Engine, prepare_engine
from search.scenario import input_content
from search.scenario.clock import clock_reads
from search.scenario.held_clock import (
    HELD_FUNCTIONS,
    HeldClock,
    has_own_clock,
    hold_clock,
    move_clock,
)
from search.scenario.input_content import changes
from search.scenario.preparation import prepare
from search.scenario.read_log import ReadLog
from search.workers.resources import evaluator_factory, memory_plan, preparation_limits


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("select a from t where d < current_date - 3", [("current_date", None)]),
        ("select now() as loaded_at, a from t", [("now()", "loaded_at")]),
        ('select a, current_timestamp::timestamp as "At" from t', [("current_timestamp", "at")]),
        ("select year(today()) as y from t", [("today()", None)]),
        ("select cast(now() as date) as d from t", [("now()", None)]),
        ("select max(now()) as d from t", [("now()", None)]),
        ("select age(born) as a, age(b, c) as d from t", [("age()", None)]),
        ("select t.now, nowhere(), 'now()', \"now\" from t -- now()", []),
        ("select 1 as current_date", []),
        ("select known, average from t", []),
        ("select current_date() as d, a from t", [("current_date", "d")]),
        ('select "now"() - a, "current_date" from t', [("now()", None), ("current_date", None)]),
        ("select main.now(), system.main.today()", [("main.now()", None), ("main.today()", None)]),
    ],
)
def test_what_asks_for_the_time(sql: str, found: list[tuple[str, str | None]]) -> None:
    assert [(one.what, one.column) for one in clock_reads(sql, "m")] == found


def test_a_time_of_loading_that_nobody_reads_is_no_input(tmp_path: Path) -> None:
    log = ReadLog(tmp_path)
    log.saw_statement("create table a as select 1 as v, now() as loaded_at", "model.p.a")
    log.saw_statement("insert into a (v, loaded_at) select 1, now()", "model.p.b")
    assert {*log.clock_places()["now()"]} == {"model.p.a", "model.p.b"}
    log = ReadLog(tmp_path)
    log.saw_statement("create table a as select 1 as v, now() as loaded_at", "model.p.a")
    log.saw_statement("select count(*) from a where loaded_at is null", "test.p.not_null")
    log.saw_statement("select sum(v) from a", "metric v")
    assert log.clock_places() == {}
    log.saw_statement("select max(loaded_at) from a", "model.p.b")
    assert log.clock_places() == {"now()": ["model.p.a"]}


def test_a_clock_is_set_once_a_day(tmp_path: Path) -> None:
    first = HeldClock.of_day(tmp_path, "2026-01-31")
    assert first.day == "2026-01-31"
    (tmp_path / "moment-2026-01-31").write_text("2026-01-31T01:02:03+00:00")
    assert HeldClock.of_day(tmp_path, "2026-01-31").text() == "2026-01-31 01:02:03 UTC"
    HeldClock.of_day(tmp_path, "2026-02-01", is_kept=False)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["moment-2026-01-31"]


def test_duckdb_answers_with_the_moment_in_its_own_types() -> None:
    moment = datetime(2026, 1, 31, 23, 30, 0, tzinfo=UTC)
    bare = ("current_date", "current_timestamp", "current_time", "localtime", "localtimestamp")
    calls = [*bare, *(f"{name}()" for name in sorted(HELD_FUNCTIONS - {*bare}))]
    query = f"select {', '.join(f'typeof({one})' for one in calls)}"
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'Asia/Tokyo'")
        connection.execute("create view v as select now() as seen")
        plain = connection.execute(query).fetchall()
        hold_clock(connection, moment)
        assert connection.execute(query).fetchall() == plain
        asked = "select epoch(now()), current_date::varchar, (select epoch(seen) from v)"
        assert connection.execute(asked).fetchall() == [
            (moment.timestamp(), "2026-02-01", moment.timestamp())
        ]
        move_clock(connection, moment + timedelta(days=1))
        assert connection.execute("select today()::varchar").fetchall() == [("2026-02-02",)]


def test_a_function_of_the_projects_own_stays_the_projects() -> None:
    with duckdb.connect() as connection:
        assert not has_own_clock(connection)
        connection.execute("create macro today() as 'ours'")
        assert has_own_clock(connection)


def test_the_day_is_named_when_it_moves() -> None:
    moved = changes({"clock now()": "2026-01-01"}, {"clock now()": "2026-01-02"})
    assert moved == ["the day: 2026-01-01 became 2026-01-02"]


def _start(folder: Path) -> Engine:
    spec = load(folder / "project", _document())
    memory = memory_plan(spec)
    limits = preparation_limits(spec, memory)
    plan = prepare(spec, folder / "baselines", limits, report=lambda _: None).plan
    factory = evaluator_factory(spec, plan, memory)
    return prepare_engine(factory, spec, folder / "programs", report=lambda _: None)


def _document() -> dict[str, object]:
    document = dbt_document(resources={"engine": "dbt"})
    del document["parameters"]["rate"]
    return document


@pytest.mark.dbt
def test_the_next_day_is_another_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function is named with its model; a start on the same day finds the same world."""
    project = copy_project("tiny", tmp_path / "project")
    model = next((project / "models").rglob("*.sql"))
    text = model.read_text().replace("end as result", "end + 0 * year(current_date) as result")
    model.write_text(text + ", now() as loaded_at")
    first = _start(tmp_path)
    (warning,) = first.warnings
    assert "current_date in model.tiny.fct_result" in warning and "now()" not in warning
    assert first.plan is not None
    second = _start(tmp_path).plan
    assert second is not None and second.fingerprints == first.plan.fingerprints
    monkeypatch.setattr(input_content, "today", lambda: "2999-01-01")
    third = _start(tmp_path).plan
    assert third is not None and third.fingerprints != first.plan.fingerprints
    assert changes(first.plan.inputs() | {"clock current_date": "a"}, third.inputs()) == [
        "the day: a became 2999-01-01"
    ]
