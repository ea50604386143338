"""Every way out of the database, where Dagster runs SQL of a study in the main database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from studies import MIB, copy_project, load, tiny_document
from ways_out import WAYS, everything, fill_outside

from dagster_defs.steps import Chosen, StepRun, _run, _set_cells, compare_metrics
from search.errors import SearchError
from search.scenario.duck_limits import DuckLimits
from search.scenario.plan import Profile
from search.scenario.relations import Relations
from search.scenario.steps import StepPlace, StepRunner
from search.study.steps import ExpandedStep

pytestmark = pytest.mark.dagster

EVERY = 11


def chosen(folder: Path, **changes: Any) -> Chosen:
    spec = load(copy_project("tiny", folder / "project"), tiny_document(**changes))
    return Chosen(spec, {"x": 1.0, "rate": 1.0}, "today")


def database(folder: Path) -> Path:
    path = folder / "main.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table levers as select 'rate' as name, 1.0::double as value")
    return path


def run_of(folder: Path, one: Chosen) -> tuple[StepRun, StepRunner]:
    place = StepPlace(
        project_dir=folder,
        profile=Profile("tiny", "dev", {"type": "duckdb"}, "tiny"),
        relations=Relations(),
        database=database(folder),
        home=folder / "dbt",
        limits=DuckLimits(256 * MIB, 1, folder / "spill", 64 * MIB),
        allow_external_access=False,
    )
    return StepRun(one, (), place.database, place.relations), StepRunner(place)


def by_metric(sql: str, folder: Path) -> None:
    one = chosen(folder, metrics={"v": {"sql": sql}})
    with duckdb.connect(str(database(folder))) as connection:
        compare_metrics(connection, one, Relations(), {"v": 1.0})


def by_step(sql: str, folder: Path) -> None:
    run, runner = run_of(folder, chosen(folder))
    step = ExpandedStep(name="steps[0]", index=0, kind="sql", sql=sql)
    _run(step, run, runner, lambda line: None)


def by_cell(sql: str, folder: Path) -> None:
    where = f"0 < ({sql})" if sql.startswith("select") else f"1; {sql}"
    bind = {"table": "levers", "column": "value", "where": where}
    run, runner = run_of(folder, chosen(folder, parameters={"rate": {"bind": bind}}))
    try:
        _set_cells(run, runner)
    except duckdb.Error as error:
        raise SearchError(str(error)) from error


PLACES = (by_metric, by_step, by_cell)


def cases() -> Iterator[Any]:
    for number, (place, way) in enumerate((place, way) for place in PLACES for way in WAYS):
        marks = () if number % EVERY == 0 else pytest.mark.long
        yield pytest.param(place, way, id=f"{place.__name__}-{way}", marks=marks)


@pytest.mark.parametrize(("place", "way"), list(cases()))
def test_sql_of_a_study_has_no_way_out_of_the_main_database(
    place: Callable[[str, Path], None], way: str, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    fill_outside(outside)
    sql = WAYS[way].format(o=outside, port=9)
    before = everything(outside)
    with pytest.raises(SearchError):
        place(sql, tmp_path)
    assert everything(outside) == before


def test_a_metric_reads_what_the_project_wrote_beside_the_main_database(tmp_path: Path) -> None:
    one = chosen(tmp_path, metrics={"v": {"sql": "select max(rate) from written"}})
    written = tmp_path / "main.duckdb.files"
    fill_outside(written)
    with duckdb.connect(str(database(tmp_path))) as connection:
        connection.execute(f"create view written as from '{written}/rates.csv'")
        (read,) = compare_metrics(connection, one, Relations(), {"v": 3.0}, readable=[written])
    assert read.is_same
