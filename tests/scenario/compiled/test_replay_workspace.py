"""What both workspaces of a replay promise, kept by both."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from sql_scenario import CATALOG, Compiled, Script

from search.errors import ScenarioError
from search.scenario.compiled.replay import COPY, OVERLAY, Replay
from search.scenario.plan import TableBind

SCRIPT = Script(
    setup=(
        'create schema "Odd Side"',
        "create table plain as select range as k, range * 0.5 as v from range(1000)",
        "create table keyed (k bigint primary key, v double not null default 2.5 check (v >= 0))",
        "insert into keyed select range, range from range(10)",
        'create table "Odd Side"."Täble €" as select 7 as "Vàlue ""x"""',
        'create view "Odd Side"."a view" as select k, v from sim.main.plain where k < 10',
        'create view twice as select k, 2 * v as v from "Odd Side"."a view"',
        "create table levers as select 'tip' as lever, 0.5::double as value",
    ),
    lines=(
        "create temp table handed as select k, v from plain where k < 100",
        "insert into keyed (k) select 10 + ({p})::bigint",
        'create table "Odd Side"."Made ""so""" as select sum(v) * ({p}) as v from handed',
        "create table main.seen as select sum(v) as v from twice",
        "update plain set v = v + ({p}) where k = 1",
        "create temp view only_here as select 1 as x",
        "create table one as select x, value * ({p}) as y from only_here, levers",
    ),
    metrics={
        "keyed": "select sum(v) from keyed",
        "made": 'select v from "Odd Side"."Made ""so"""',
        "odd": 'select "Vàlue ""x""" from "Odd Side"."Täble €"',
        "seen": "select v from seen",
        "through_views": "select sum(v) from twice",
        "one": "select y from one",
    },
    table_binds=(TableBind("tip", "levers", '"levers"', "value", "lever = 'tip'"),),
)
VALUES = {"p": 3, "tip": 0.25}
EXPECTED = {
    "keyed": 47.5,
    "made": 7425.0,
    "odd": 7.0,
    "seen": 45.0,
    "through_views": 51.0,
    "one": 0.75,
}


@pytest.fixture(scope="module")
def compiled() -> Iterator[Compiled]:
    with tempfile.TemporaryDirectory() as folder:
        yield Compiled(SCRIPT, Path(folder) / "study")


class ReplayWorkspaceContract:
    """A subclass says which workspace; each test is an obligation."""

    isolation: str

    @pytest.fixture
    def replay(self, compiled: Compiled) -> Iterator[Replay]:
        replay = compiled.replay(self.isolation)
        yield replay
        replay.close()

    def test_metrics_are_those_of_the_statements_in_order(
        self, compiled: Compiled, replay: Replay
    ) -> None:
        assert compiled.metrics(replay, VALUES) == EXPECTED

    def test_an_evaluation_finds_nothing_of_the_one_before(
        self, compiled: Compiled, replay: Replay
    ) -> None:
        compiled.metrics(replay, {"p": 5, "tip": 1.0})
        assert compiled.metrics(replay, VALUES) == EXPECTED

    def test_a_failed_evaluation_leaves_nothing_behind(
        self, compiled: Compiled, replay: Replay
    ) -> None:
        with pytest.raises(ScenarioError, match="onstraint") as failure:
            compiled.metrics(replay, {"p": -3, "tip": 0.25})  # 7 is a key already
        assert failure.value.fields["model"] == "model.test.any"
        assert compiled.metrics(replay, VALUES) == EXPECTED

    def test_the_baseline_is_not_written(self, compiled: Compiled, replay: Replay) -> None:
        before = hashlib.sha256(compiled.baseline.read_bytes()).digest()
        compiled.metrics(replay, VALUES)
        assert hashlib.sha256(compiled.baseline.read_bytes()).digest() == before
        assert [file.name for file in compiled.baseline.parent.iterdir()] == ["sim.duckdb"]

    def test_the_baseline_can_be_read_by_others_meanwhile(
        self, compiled: Compiled, replay: Replay
    ) -> None:
        compiled.metrics(replay, VALUES)
        other = compiled.replay(self.isolation)
        assert compiled.metrics(other, VALUES) == EXPECTED
        other.close()
        assert compiled.metrics(replay, VALUES) == EXPECTED

    def test_nothing_stays_on_disk(self, compiled: Compiled) -> None:
        replay = compiled.replay(self.isolation)
        compiled.metrics(replay, VALUES)
        assert list((compiled.folder / "scratch").glob("*/spill")) == []
        replay.close()
        assert list((compiled.folder / "scratch").iterdir()) == []


class TestOverlay(ReplayWorkspaceContract):
    isolation = OVERLAY


class TestCopy(ReplayWorkspaceContract):
    isolation = COPY


@pytest.mark.parametrize("isolation", [OVERLAY, COPY])
def test_spills_go_to_the_workers_own_folder(isolation: str, tmp_path: Path) -> None:
    script = Script(
        setup=("create table big as select range as k, hash(range) as v from range(1_500_000)",),
        lines=("create table sorted as select *, ({p}) as p from big order by v, k",),
        metrics={"first": "select k from sorted limit 1"},
    )
    compiled = Compiled(script, tmp_path / "study")
    low = 24 * 2**20
    object.__setattr__(compiled.factory, "memory_limit_bytes", low)
    replay = compiled.replay(isolation)
    try:
        compiled.metrics(replay, {"p": 1.0})
    except duckdb.OutOfMemoryException:
        pass  # what is promised is where a spill goes, not that it suffices
    finally:
        replay.close()
    assert not list(tmp_path.rglob("*.tmp"))
    assert not list(Path.cwd().glob(".tmp")) and not list((tmp_path / "study").glob("**/*.tmp"))


@pytest.mark.parametrize("catalog", ["memory", "odd-name"])
def test_any_catalog_name_is_kept(
    catalog: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sql_scenario.CATALOG", catalog)
    script = Script(
        setup=("create table a as select 2 as v",),
        lines=(f'create table "{catalog}"."main"."b" as select v * ({{p}}) as v from a',),
        metrics={"b": "select v from b"},
    )
    compiled = Compiled(script, tmp_path / "study")
    for isolation in (OVERLAY, COPY):
        replay = compiled.replay(isolation)
        assert compiled.metrics(replay, {"p": 4}) == {"b": 8}
        replay.close()
    assert CATALOG == "sim"
