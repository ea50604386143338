from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from studies import PROJECTS, copy_project, tiny_document, write_study

from search.scenario.project import DbtProject


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_project("retail", tmp_path / "retail")


def test_where_vars_are_read() -> None:
    reads = DbtProject(PROJECTS / "retail").var_reads()
    assert reads.places["price_factor"] == ["models/int_prices.sql"]
    assert not reads.has_dynamic
    assert reads.nearest("price_facto") == "price_factor"
    assert reads.nearest("zzz") is None


def test_a_computed_name_is_noticed(folder: Path) -> None:
    (folder / "models/any.sql").write_text("select {{ var(target.name ~ '_rate') }}")
    assert DbtProject(folder).var_reads().has_dynamic


def _new_model(folder: Path) -> None:
    (folder / "models/new.sql").write_text("select 1 as one")


def _other_seed(folder: Path) -> None:
    file = folder / "seeds/products.csv"
    file.write_text(file.read_text().replace("2.50", "2.51"))


def _renamed_model(folder: Path) -> None:
    (folder / "models/fct_month.sql").rename(folder / "models/fct_months.sql")


def _installed_package(folder: Path) -> None:
    (folder / "dbt_packages/rules/macros").mkdir(parents=True)
    (folder / "dbt_packages/rules/macros/m.sql").write_text("{% macro m() %}1{% endmacro %}")


@pytest.mark.parametrize("change", [_new_model, _other_seed, _renamed_model, _installed_package])
def test_whatever_dbt_reads_changes_the_fingerprint(
    folder: Path, change: Callable[[Path], None]
) -> None:
    before = DbtProject(folder).fingerprint()
    assert DbtProject(folder).fingerprint() == before
    change(folder)
    assert DbtProject(folder).fingerprint() != before


def test_the_environment_that_it_reads_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = DbtProject(folder).fingerprint()
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    assert DbtProject(folder).fingerprint() == before
    monkeypatch.setenv("RETAIL_DB", "other.duckdb")
    assert DbtProject(folder).fingerprint() != before


def test_what_dbt_and_a_search_write_does_not_count(folder: Path) -> None:
    results = folder / "results"
    project = DbtProject(folder, not_of_it=(results,))
    before = project.fingerprint()
    for name in ("target/manifest.json", "logs/dbt.log", "retail.duckdb", ".user.yml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("written by dbt")
    (results / "baselines").mkdir(parents=True)
    (results / "baselines/baseline.json").write_text("{}")
    write_study(folder, tiny_document(), name="another_study.yml")
    assert project.fingerprint() == before
