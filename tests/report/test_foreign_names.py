"""Results that somebody else made: names in them are texts, wherever they are shown or written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import duckdb
import optuna
import pytest
from trails import document, published, searched

from search.audit.export import export_trail
from search.dashboard.shown import shown_storage
from search.errors import AuditError
from search.report.gathering import read_facts
from search.report.html import write_report
from search.report.workbook import export_study
from search.storage.database import open_storage
from search.study import study_from_document

NAMES = [
    'a"b',
    "a'b",
    "t; drop table search_trials",
    "x\") to '{o}/stolen.csv'; --",
    "two\nlines",
    "../../outside/stolen",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
]
"""``{o}`` is a folder outside."""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "kept").write_text("as it was")
    yield folder
    assert [path.read_text() for path in folder.iterdir()] == ["as it was"]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    spec = study_from_document(document(targets=2), file=Path("/studies/pay.yml"))
    return published(tmp_path / "pay", spec, searched(spec, 5))


def shown(results: Path, to: Path) -> str:
    """Write everything that is made of a trail, and return the page's text."""
    page = write_report(results).read_text()
    facts = read_facts(results)
    for target in (to / "plan.xlsx", to / "tables"):
        assert all(path.is_relative_to(to) for path in export_study(facts, target))
    assert "<script>alert(1)" not in page
    return page


@pytest.mark.parametrize("name", NAMES)
def test_a_table_with_a_hostile_name(
    name: str, results: Path, outside: Path, tmp_path: Path
) -> None:
    name = name.replace("{o}", str(outside))
    before = shown(results, tmp_path)
    with duckdb.connect(str(results / "audit.duckdb")) as connection:
        connection.execute(f"create table {quoted(name)} as select 1 as {quoted(name)}")
    assert len(shown(results, tmp_path)) == len(before)
    with pytest.raises(AuditError, match="it is not one of ours"):
        export_trail(results, tmp_path / "out", ("csv", "parquet"))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_and_a_parameter_with_a_hostile_name(
    name: str, results: Path, outside: Path, tmp_path: Path
) -> None:
    name = name.replace("{o}", str(outside))
    with duckdb.connect(str(results / "audit.duckdb")) as connection:
        for table, column in (("trial_metrics", "metric"), ("trial_parameters", "parameter")):
            connection.execute(
                f"update {table} set {column} = ? where {column} = "
                f"(select min({column}) from {table})",
                [name],
            )
        rows = connection.execute("select count(*) from search_trials").fetchone()
    assert rows is not None
    shown(results, tmp_path)
    paths = export_trail(results, tmp_path / "out", ("csv", "parquet"))
    assert {path.parent for path in paths} == {tmp_path / "out"}
    summary = tmp_path / "out" / "trial_summary.parquet"
    with duckdb.connect() as connection:
        assert connection.execute(f"select count(*) from '{summary}'").fetchone() == rows
        columns = connection.execute(f"describe from '{summary}'").fetchall()
    assert f"metric_{name}" in {column[0] for column in columns}


@pytest.mark.parametrize("name", NAMES)
def test_the_dashboard_over_a_storage_with_hostile_names(
    name: str, outside: Path, tmp_path: Path
) -> None:
    name = name.replace("{o}", str(outside))
    file = tmp_path / "study.db"
    storage = open_storage(f"sqlite:///{file}")
    study = optuna.create_study(storage=storage, study_name=name)
    study.add_trial(
        optuna.trial.create_trial(
            params={name: 0.5},
            distributions={name: optuna.distributions.FloatDistribution(0, 1)},
            value=1.0,
        )
    )
    storage.engine.dispose()
    with sqlite3.connect(file) as connection:
        connection.execute(f"create table {quoted(name)} (a)")
        connection.execute(f"create view {quoted(name + 'v')} as select * from {quoted(name)}")
    connection.close()
    before = file.read_bytes()
    for is_snapshot in (True, False):
        with shown_storage(f"sqlite:///{file}", is_snapshot=is_snapshot) as shown_one:
            (found,) = shown_one.get_all_studies()
            assert found.study_name == name
            (trial,) = shown_one.get_all_trials(found._study_id)
            assert list(trial.params) == [name]
    assert file.read_bytes() == before
