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


def test_the_environment_that_the_texts_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = DbtProject(folder)
    before = project.env_named()
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    assert project.env_named() == before
    monkeypatch.setenv("RETAIL_DB", "other.duckdb")
    assert project.env_named() != before


@pytest.mark.parametrize(
    "name",
    [
        "target/manifest.json",
        "target/compiled/retail/models/a.sql",
        "logs/dbt.log",
        "retail.duckdb",
        ".user.yml",
        "data/census.parquet",
        "export.csv",
        "models/run.log",
        "models/rows.csv",
        "results/baselines/baseline.json",
        "notes.md",
    ],
)
def test_what_nobody_reads_does_not_count(folder: Path, name: str) -> None:
    before = DbtProject(folder).fingerprint()
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("not read")
    write_study(folder, tiny_document(), name="another_study.yml")
    assert DbtProject(folder).fingerprint() == before


@pytest.mark.parametrize("name", ["models/target/b.sql", "models/logs/b.sql", "seeds/target/s.csv"])
def test_a_folders_place_counts_and_not_its_name(folder: Path, name: str) -> None:
    before = DbtProject(folder).fingerprint()
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("select 1 as one")
    assert DbtProject(folder).fingerprint() != before


def test_the_projects_own_paths_count(folder: Path) -> None:
    file = folder / "dbt_project.yml"
    file.write_text(file.read_text() + "\nmodel-paths: [models, more]\ntarget-path: more/out\n")
    before = DbtProject(folder).fingerprint()
    for name in ("more/out/run/x.sql", "target/x.sql"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("select 1 as one")
    assert DbtProject(folder).fingerprint() == before
    (folder / "more/x.sql").write_text("select 1 as one")
    assert DbtProject(folder).fingerprint() != before


def test_a_package_that_contains_the_project_ends(tmp_path: Path) -> None:
    package = tmp_path / "pkg"
    project = copy_project("tiny", package / "integration_tests")
    (package / "models").mkdir()
    (package / "models/one.sql").write_text("select 1 as one")
    (package / "dbt_project.yml").write_text("name: pkg\nversion: '1'\n")
    (project / "dbt_packages").mkdir()
    (project / "dbt_packages/pkg").symlink_to("../..")
    (project / "whole_package").symlink_to("..")
    names = [name for name, _ in DbtProject(project).read_files()]
    assert "dbt_packages/pkg/models/one.sql" in names
    assert len(names) == len(set(names)) < 20
    assert len(list(DbtProject(project).files())) < 30
    before = DbtProject(project).fingerprint()
    (package / "models/one.sql").write_text("select 2 as one")
    assert DbtProject(project).fingerprint() != before


def test_data_files_are_brought_along(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data/rows.csv").write_text("a\n1\n")
    found = {str(file.relative_to(folder)) for file in DbtProject(folder).files()}
    assert {"data/rows.csv", "dbt_project.yml"} <= found
