"""Files that a project writes: led to a folder of the candidate's, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from search.errors import ScenarioError
from search.scenario.own_files import OwnFiles
from search.scenario.written_files import Written

NODE = "model.shop.exported_sales"


class Place:
    """A project's folder with files of the user's, a database, and the files of one candidate."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.user = folder / "user"
        for one in (self.project, self.user):
            one.mkdir(parents=True)
        (self.project / "out.csv").write_text("a\n100\n")
        (self.user / "other.csv").write_text("a\n7\n")
        with duckdb.connect(str(self.user / "old.db")) as old:
            old.execute("create table t as select 5 as a")
        self.read: list[Written] = []
        self.files = OwnFiles(self.project, folder / "own")
        self.files.written.on_reading = self.read.append
        self.connection = duckdb.connect(config={"file_search_path": str(self.project)})
        self.before = self.everything()

    def run(self, sql: str, node: str | None = NODE) -> list[tuple[object, ...]]:
        self.files.run(sql, node, self.connection, self.connection.execute)
        return self.connection.fetchall()

    def everything(self) -> dict[str, bytes]:
        files = [one for root in (self.project, self.user) for one in root.rglob("*")]
        return {str(one): one.read_bytes() for one in files if one.is_file()}


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Place]:
    def place() -> Place:
        made = Place(tmp_path)
        monkeypatch.chdir(made.project)  # as dbt does
        return made

    return place


def test_a_file_that_only_leaves_is_written_elsewhere_and_told_once(
    make: Callable[..., Place],
) -> None:
    place = make()
    for a in (1, 2):
        place.run(f"copy (select {a} as a) to 'out.csv'")
    assert place.everything() == place.before
    assert place.read == []
    (note,) = place.files.notes
    assert "model exported_sales writes out.csv" in note
    assert place.files.observed("copy (select 1 as a) to 'out.csv'; select 2") == "select 2"


@pytest.mark.parametrize(
    "read",
    [
        "from 'out.csv'",
        "select a from read_csv('{project}/out.csv', header = true)",
        "select a from read_csv(['out.csv'])",
        "select a from (select 1 where 1 = 1) as b, 'out.csv'",
        "select a from 'o*.csv'",
        'select out.a from "out.csv"',
        "select a from './../project/out.csv'",
    ],
)
def test_who_reads_it_again_reads_the_candidates_own(read: str, make: Callable[..., Place]) -> None:
    place = make()
    assert place.run("select a from 'out.csv'") == [(100,)]
    place.run("copy (select 1 as a) to 'out.csv'")
    assert place.run(read.format(project=place.project)) == [(1,)]
    assert [one.node for one in place.read] == [NODE]
    assert place.everything() == place.before
    place.files.written.forget()
    assert place.run("select a from 'out.csv'") == [(100,)]


def test_data_is_not_taken_for_a_path_nor_a_path_for_data(make: Callable[..., Place]) -> None:
    place = make()
    place.run("copy (select 1 as a) to 'out.csv'")
    assert place.run("select a, 'other.csv' from read_csv('out.csv', delim = ',')") == [
        (1, "other.csv")
    ]
    for unclear in (
        "select 'out.csv'",
        "select a from read_csv('out' || '.csv')",
        "select a from out.csv",
        "with x as (from out.csv) select a from x",
        "select * from query('select a from ''out.csv''')",
    ):
        with pytest.raises(ScenarioError, match="which a study must not do"):
            place.run(unclear)


def test_a_view_made_before_reads_what_was_written_since(make: Callable[..., Place]) -> None:
    place = make()
    place.run("create view v as select a + 1 as b from 'out.csv'")
    assert place.run("select b from v") == [(101,)]
    place.run("copy (select 1 as a) to 'out.csv'")
    assert place.run("select b from v") == [(2,)]
    assert len(place.read) == 1


def test_a_pattern_over_new_and_old_files_is_refused(make: Callable[..., Place]) -> None:
    place = make()
    place.run("copy (select 1 as a) to 'new.csv'")
    with pytest.raises(ScenarioError, match=r"in part as it was \(.*out\.csv\)"):
        place.run("select sum(a) from '*.csv'")


def test_a_partitioned_write_and_an_export_are_read_again(make: Callable[..., Place]) -> None:
    place = make()
    place.run(
        "copy (select 1 as a, 2 as p) to 'parts' (format parquet, partition_by (p));"
        "create table t as select 4 as a; export database 'dump'"
    )
    assert place.run("select a from 'parts/*/*.parquet'") == [(1,)]
    assert place.run("select t from 'dump/t.csv' as x(t)") == [(4,)]
    assert place.everything() == place.before


def test_folders_are_there_as_they_are_for_dbt(make: Callable[..., Place]) -> None:
    place = make()
    with pytest.raises(duckdb.IOException):
        place.run("copy (select 1 as a) to 'no/such/folder/x.csv'")
    (place.project / "kept").mkdir()
    place.run("copy (select 1 as a) to 'kept/x.csv'")
    assert list((place.project / "kept").iterdir()) == []


def test_a_database_is_attached_for_reading_and_a_new_one_is_the_candidates(
    make: Callable[..., Place],
) -> None:
    place = make()
    place.run("attach if not exists '../user/old.db' as old (type duckdb)")
    assert place.run("select a from old.t") == [(5,)]
    with pytest.raises(duckdb.Error, match="read-only"):
        place.run("insert into old.t values (6)")
    place.run("attach '../user/new.db' as new; create table new.t as select 8 as a")
    assert place.run("select a from new.t") == [(8,)]
    place.run("detach new")
    place.run("attach '../user/new.db' as again")
    assert place.run("select a from again.t") == [(8,)]
    assert place.everything() == place.before


@pytest.mark.parametrize(
    "sql",
    [
        "copy t to (getvariable('f'))",
        "copy (select 1) to out_without_quotes",
        "attach new_without_quotes",
        "copy (select 1) to 's3://bucket/x.csv'",
        "with x as (copy (select 1) to 'out.csv') select 1",
        "create persistent secret s (type s3)",
        "force install json",
        "install no_such_extension_of_anyone",
    ],
)
def test_what_cannot_be_led_elsewhere_is_refused_by_name(
    sql: str, make: Callable[..., Place]
) -> None:
    place = make()
    with pytest.raises(ScenarioError) as caught:
        place.run(sql)
    assert "exported_sales" in str(caught.value)
    assert (caught.value.exit_code, caught.value.code) == (2, "scenario_outside")
    assert place.everything() == place.before


def test_a_log_of_duckdbs_own_is_left_out(make: Callable[..., Place]) -> None:
    place = make()
    place.run("set log_query_path = 'q.log'; select 1")
    assert place.everything() == place.before and len(place.files.notes) == 1


def test_what_the_setup_wrote_is_there_for_each_candidate(make: Callable[..., Place]) -> None:
    setup = make()
    setup.run(
        "copy (select 1 as a) to 'out.csv'; create view v as select a from 'out.csv';"
        "copy (select 2 as a, 3 as p) to 'parts' (format parquet, partition_by (p));"
        "attach 'fresh.db' as fresh; create table fresh.t as select 4 as a; detach fresh"
    )
    given = setup.files.written.for_next()
    assert given is not None
    assert given.writers.keys() == {
        str(setup.project / n) for n in ("out.csv", "parts", "fresh.db")
    }
    kept = {name: (given.folder / name).read_bytes() for name in given.names()}
    candidate = OwnFiles(setup.project, setup.project.parent / "candidate", given=given)

    def run(sql: str) -> list[tuple[object, ...]]:
        candidate.run(sql, NODE, setup.connection, setup.connection.execute)
        return setup.connection.fetchall()

    for turn in (1, 2):
        assert run("select a from 'out.csv'") == [(1,)]
        assert str(given.folder) in candidate.observed("select a from 'out.csv'")
        assert run("select a from 'parts/*/*.parquet'") == [(2,)]
        assert run("attach 'fresh.db' as fresh; insert into fresh.t values (5); from fresh.t") == [
            (4,),
            (5,),
        ]
        run("detach fresh")
        run(f"copy (select {turn * 10} as a) to 'out.csv'")
        assert run("select a from 'out.csv'") == run("select a from v") == [(turn * 10,)]
        candidate.written.forget()
        setup.connection.execute("drop view v")
        candidate.run(
            "create view v as select a from 'out.csv'",
            NODE,
            setup.connection,
            setup.connection.execute,
        )
    assert {name: (given.folder / name).read_bytes() for name in given.names()} == kept
    assert setup.everything() == setup.before
