"""Random programs: what the compiled engine replays is what all statements in order yield."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, assume, example, given, note, settings
from hypothesis import strategies as st
from isolations import ISOLATIONS
from sql_scenario import CATALOG, Compiled, Line, Mark, Script, filled, run_plainly

SETUP = (
    "create schema s2",
    "create table a as select range as k, range * 0.5 as v from range(7)",
    "create table b (k bigint primary key, v double default 1.5)",
    "insert into b select range, range * 1.25 from range(5)",
    "create table s2.c as select range as k, 1.0 * range as v from range(4)",
    "create view w as select k, v + 1 as v from a",
    "create view s2.x as select k, v from main.w union all select k, v from s2.c",
)
NAMES = ("a", "b", "s2.c", "w", "s2.x", "d", "e", "f", "s2.d")
POINTS = ({"p": 0.5, "q": 2.0}, {"p": -1.25, "q": 0.0}, {"p": 3.0, "q": 1e-05})

names = st.sampled_from(NAMES)
numbers = st.sampled_from(("1", "2", "{p}", "{q}", "0.5", "3", "{p} + {q}"))


@st.composite
def selects(draw: st.DrawFn) -> str:
    value = draw(st.sampled_from(("v", "v", "v * ({0})", "v + ({0})", "m1(v)")))
    text = f"select k, {value.format(draw(numbers))} as v from {draw(names)}"
    if draw(st.integers(0, 3)) == 0:
        text += f" union all select k, v from {draw(names)}"
    if draw(st.integers(0, 4)) == 0:
        text += f" where k in (select k from {draw(names)})" if "union" not in text else ""
    return text


@st.composite
def statements(draw: st.DrawFn) -> str:
    name = draw(names)
    plain = name.split(".")[-1]
    kind = draw(
        st.sampled_from(
            (
                "create table {name} as {select}",
                "create table {name} as {select}",
                "create or replace table {name} as {select}",
                "create table if not exists {name} as {select}",
                "create or replace temp table {plain} as {select}",
                "create view {name} as {select}",
                "create or replace view {name} as {select}",
                "insert into {name} {select}",
                "insert into {name} {select}",
                "delete from {name} where k % 3 = 1",
                "delete from {name} where k in (select k from {other})",
                "delete from {name} using {other} o where {plain}.k = o.k and o.v > ({number})",
                "update {name} set v = v * ({number})",
                "update {name} set v = v + (select count(*) from {other})",
                "merge into {name} t using (select k, max(v) as v from {other} group by k) o "
                "on t.k = o.k when matched then update set v = o.v * ({number}) "
                "when not matched then insert (k, v) values (o.k, o.v)",
                "truncate {name}",
                "alter table {name} rename to {fresh}",
                "alter table {name} rename to {fresh}",
                "alter view {name} rename to {fresh}",
                "alter table {name} add column if not exists z integer default 1",
                "drop table if exists {name}",
                "drop table {name}",
                "drop view if exists {name} cascade",
                "create or replace macro m1(x) as x * ({number})",
                "create or replace macro m1(x) as x + (select count(*) from {other})",
            )
        )
    )
    return kind.format(
        name=name,
        plain=plain,
        other=draw(names),
        fresh=draw(names).split(".")[-1],
        select=draw(selects()),
        number=draw(numbers),
    )


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Draw lines, and keep those that a plain database takes where they stand."""
    drawn = draw(
        st.lists(st.one_of(*[statements()] * 9, st.just(Mark(0))), min_size=3, max_size=14)
    )
    marked = draw(names)
    lines: list[Line] = []
    with duckdb.connect(f":memory:{CATALOG}") as root:
        connection = root.cursor()
        for sql in SETUP:
            connection.execute(sql)
        for line in drawn:
            try:
                if isinstance(line, Mark):
                    connection = root.cursor()
                    connection.execute(metric(marked))
                else:
                    connection.execute(filled(line, POINTS[0]))
            except duckdb.Error:
                continue
            lines.append(line)
        readable = []
        for name in NAMES:
            try:
                connection.execute(metric(name))
            except duckdb.Error:
                continue
            readable.append(name)
    assume(lines and readable)
    chosen = draw(st.lists(st.sampled_from(readable), min_size=1, max_size=2, unique=True))
    has_mark = any(isinstance(line, Mark) for line in lines)
    return Script(
        setup=SETUP,
        lines=lines,
        metrics={name: metric(name) for name in chosen},
        metrics_at_marks={"marked": metric(marked)} if has_mark else {},
    )


def metric(name: str) -> str:
    qualified = name if "." in name else f"main.{name}"
    return f"select coalesce(sum(v * (k + 1)), 0) + count(*) from {qualified}"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(script=scripts())
@example(script=Script(SETUP, ["alter table w rename to d"], {"a": metric("a"), "d": metric("d")}))
@example(
    script=Script(
        SETUP, ["alter table a rename to x", "alter table w rename to c"], {"s2.c": metric("s2.c")}
    )
)
def test_a_replay_yields_what_all_statements_in_order_yield(script: Script, folder: Path) -> None:
    check(script, Path(tempfile.mkdtemp(dir=folder)))


def check(script: Script, folder: Path) -> None:
    note("\n".join(map(str, script.lines)))
    compiled = Compiled(script, folder)
    before = compiled.baseline.read_bytes()
    for isolation in ISOLATIONS:
        replay = compiled.replay(isolation)
        try:
            for values in (*POINTS, POINTS[0]):
                try:
                    expected = run_plainly(script, compiled.baseline, values)
                except duckdb.Error:
                    assume(False)
                found = compiled.metrics(replay, values)
                assert found == expected, (isolation, values)
        finally:
            replay.close()
    assert compiled.baseline.read_bytes() == before
