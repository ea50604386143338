"""Exports of a trail that somebody else made: data, never code."""

from __future__ import annotations

import csv
from pathlib import Path

import duckdb
import pytest

from search.audit.export import export_trail
from search.audit.reader import AuditReader
from search.errors import AuditError


def database(folder: Path, *statements: str) -> None:
    with duckdb.connect(str(folder / "audit.duckdb")) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    "name", ["t) to 'stolen.csv' (format csv); --", "../outside", "Table", "a b", "x;y"]
)
def test_a_table_with_a_name_that_is_not_ours_is_refused(tmp_path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    database(tmp_path, f"create table {quoted} as select 1 as a")
    with pytest.raises(AuditError, match="it is not one of ours"):
        export_trail(tmp_path, tmp_path / "out", ("csv", "parquet"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.duckdb", "out"]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_view_of_a_foreign_trail_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    database(
        tmp_path,
        f"create view spy as from read_csv('{tmp_path / 'secret.csv'}')",
        "create view endless as select sum(a.range * b.range) from range(10000000000) a,"
        " range(10000000000) b",
        "create table search_trials as select 1 as study",
        "create view trial_summary as select 'theirs' as a",
    )
    export_trail(tmp_path, tmp_path / "out", ("csv",))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["search_trials.csv"]


def test_formulas_hide_in_no_other_kind_of_column_nor_in_its_name(tmp_path: Path) -> None:
    database(
        tmp_path,
        """create table events as select '=1+1'::blob as a, '=1'::enum_ as b,
        union_value(t := '=2') as c, ['=3'] as d, '=x' as "=cmd" """.replace(
            "'=1'::enum_", "'=1'::enum('=1')"
        ),
    )
    export_trail(tmp_path, tmp_path / "out", ("csv",))
    with (tmp_path / "out" / "events.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert len(cells) == 10 and not [cell for cell in cells if cell[0] in "=+-@"]


def test_a_reader_of_a_foreign_trail_reaches_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    database(tmp_path, f"create view spy as from read_csv('{tmp_path / 'secret.csv'}')")
    with pytest.raises(AuditError, match="cannot be read"):
        AuditReader(tmp_path).query("from spy")


def test_texts_that_a_spreadsheet_would_run_are_neutralised_in_csv_alone(tmp_path: Path) -> None:
    plain = ["-2.5", "1e3", "plain", None]
    risky = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@sum(a1)", "\t=1"]
    database(tmp_path, "create table events (text varchar, number double)")
    with duckdb.connect(str(tmp_path / "audit.duckdb")) as connection:
        for text in [*plain, *risky]:
            connection.execute("insert into events values (?, -1.5)", [text])
    export_trail(tmp_path, tmp_path / "out", ("csv", "parquet"))
    with (tmp_path / "out" / "events.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] or None for row in rows] == [*plain, *("'" + text for text in risky)]
    assert {row["number"] for row in rows} == {"-1.5"}
    path = tmp_path / "out" / "events.parquet"
    kept = duckdb.sql(f"select text from '{path}'").fetchall()
    assert kept == [(text,) for text in [*plain, *risky]]
