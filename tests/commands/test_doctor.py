"""The doctor: every mistake is told, each on its own, and nothing is written."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from search.commands.doctor import CheckResult, environment, examine, findings_text, project
from search.commands.doctor.check_result import guarded
from search.commands.doctor.project import who_evaluates
from search.scenario.hashing import FileHashes
from search.scenario.preparation import ProjectCheck
from search.scenario.read_log import ReadLog
from search.scenario.world import World
from search.study import StudySpec, load_study

PROJECTS = Path(__file__).parents[1] / "projects"


@pytest.fixture
def retail(tmp_path: Path) -> Path:
    """A copy of the project with its packages; returns its study file."""
    shutil.copytree(PROJECTS, tmp_path, dirs_exist_ok=True)
    packages = tmp_path / "retail" / "dbt_packages"
    shutil.rmtree(packages, ignore_errors=True)
    packages.mkdir()
    shutil.copytree(tmp_path / "retail_rules", packages / "retail_rules")
    return tmp_path / "retail" / "study.yml"


@pytest.fixture
def without_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "imports", lambda *, needs_ray: iter(()))


@pytest.fixture
def without_dbt(without_imports: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes seconds."""
    monkeypatch.setattr(project, "dbt_project", lambda spec, results, plan: (None, []))


def edit(file: Path, **sections: Any) -> Path:
    """Change sections of a study file; a mapping changes the keys it names."""
    document = yaml.safe_load(file.read_text())
    for name, value in sections.items():
        is_part = isinstance(value, dict) and isinstance(document.get(name), dict)
        document[name] = document[name] | value if is_part else value
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return file


def examined(file: Path, results: Path | None = None) -> list[CheckResult]:
    return examine(lambda: load_study(file), results or file.parent / "results")


def of(findings: list[CheckResult], check: str) -> list[CheckResult]:
    return [finding for finding in findings if finding.check == check]


def levels(findings: list[CheckResult], check: str) -> list[str]:
    return [finding.level for finding in of(findings, check)]


@pytest.mark.dbt
def test_a_study_that_is_ready(retail: Path) -> None:
    before = {one.relative_to(retail.parent) for one in retail.parent.rglob("*")}
    findings = examined(retail)
    told = [finding.message for finding in findings if finding.level != "ok"]
    assert told == [
        "models/fct_sales_log.sql draws with uuid(); set scenario.seed to a whole number, which "
        "makes draws repeatable"
    ]
    assert {"python", "packages", "imports", "memory", "project", "disk"} <= {
        finding.check for finding in findings
    }
    assert findings_text(findings).endswith("ready to run: 1 warning")
    assert {one.relative_to(retail.parent) for one in retail.parent.rglob("*")} == before


@pytest.mark.dbt
def test_every_mistake_of_the_project_is_told(retail: Path, without_imports: None) -> None:
    text = retail.read_text()
    for right, wrong in (
        ("var: price_factor", "var: price_facto"),
        ("ref('fct_sales') }}", "ref('fct_sale') }}"),
        ("select: stg_calendar", "select: stg_calendr"),
        ("table: store_settings", "table: fct_month"),
    ):
        assert right in text
        text = text.replace(right, wrong)
    retail.write_text(text)
    errors = [one for one in examined(retail) if one.is_error]
    assert len(errors) == 4
    told = " ".join(one.message for one in errors)
    assert "did you mean 'price_factor'" in told and "did you mean 'fct_sales'" in told
    assert "stg_calendr" in told and "builds fct_month anew" in told
    assert all(one.advice for one in errors)


@pytest.mark.dbt
def test_missing_packages(retail: Path, without_imports: None) -> None:
    shutil.rmtree(retail.parent / "dbt_packages")
    errors = [one for one in examined(retail) if one.is_error]
    assert errors and "dbt deps" in errors[0].advice


def test_all_mistakes_of_a_study_file(tmp_path: Path, without_dbt: None) -> None:
    file = tmp_path / "pay.yml"
    file.write_text("study: 5\nparameters: {a: {low: 3, high: 1, bind: {var: x}}}\n")
    findings = of(examined(file), "study")
    assert len(findings) >= 4 and all(finding.is_error for finding in findings)
    assert "scenario-search schema" in findings[-1].advice
    assert "not ready to run" in findings_text(findings)
    missing = examined(tmp_path / "none.yml")
    assert [one for one in of(missing, "study") if "there is none" in one.message]


def test_a_budget_that_is_too_small(retail: Path, without_dbt: None) -> None:
    findings = examined(edit(retail, resources={"memory_budget": "500MB"}))
    assert levels(findings, "memory") == ["error"]
    assert "resources.memory_budget" in of(findings, "memory")[0].message


def test_a_budget_and_workers_beyond_the_machine(retail: Path, without_dbt: None) -> None:
    resources = {"memory_budget": "900TB", "workers": 4000, "threads_per_worker": 1}
    findings = examined(edit(retail, resources=resources))
    assert set(levels(findings, "memory")) <= {"ok", "warning", "error"}
    assert "ok" not in levels(findings, "memory") or "warning" in levels(findings, "memory")


def test_a_results_folder_that_cannot_be(retail: Path, without_dbt: None) -> None:
    findings = examined(retail, retail / "results")
    assert levels(findings, "results") == ["error"] and "is a file" in findings_text(findings)


def test_a_storage_of_something_else(retail: Path, without_dbt: None) -> None:
    file = retail.parent / "other.db"
    with sqlite3.connect(file) as connection:
        connection.execute("create table customers (id integer)")
    connection.close()
    findings = examined(edit(retail, storage=f"sqlite:///{file}"))
    assert levels(findings, "storage") == ["error"]
    assert "customers" in of(findings, "storage")[0].message


def test_a_scratch_folder_of_a_dead_process(retail: Path, without_dbt: None) -> None:
    scratch = retail.parent / "scratch"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = scratch / "scenario-search-left"
    left.mkdir(parents=True)
    (left / "owner.json").write_text(f'{{"pid": {dead.pid}, "started": 1.0}}')
    findings = examined(edit(retail, resources={"scratch": str(scratch)}))
    assert "warning" in levels(findings, "scratch")
    assert left.exists()


def test_too_little_disk(retail: Path, without_dbt: None, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(retail, scenario={"database": "big.duckdb"})
    (retail.parent / "big.duckdb").write_bytes(b"0" * 1000)
    usage = shutil.disk_usage(retail.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1500))
    findings = examined(retail)
    assert levels(findings, "disk") == ["error"]
    assert "resources.scratch" in of(findings, "disk")[0].advice


def test_versions_that_are_not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version
    given = {"dbt-core": "1.13.0", "duckdb": "1.3.2"}
    monkeypatch.setattr(metadata, "version", lambda name: given.get(name) or version(name))
    monkeypatch.setattr(environment.platform, "python_version", lambda: "3.10.2")
    findings = [*environment.packages(), *environment.python()]
    told = [finding.message for finding in findings if finding.is_error]
    assert any("dbt-core must be >=1.11.16,<1.13" in one for one in told)
    assert any("duckdb must be" in one and "1.3.2" in one for one in told)
    assert any("Python must be" in one for one in told)


def test_a_package_that_is_missing_or_broken() -> None:
    failed = environment.import_failures(("json", "no_such_module"), report=lambda line: None)
    assert list(failed) == ["no_such_module"] and "ModuleNotFoundError" in failed["no_such_module"]


def test_a_check_that_breaks_is_a_finding(retail: Path, without_dbt: None) -> None:
    def broken() -> StudySpec:
        raise MemoryError("none left")

    assert "MemoryError" in of(examine(broken, retail.parent), "study")[0].message
    found = guarded("disk", lambda: iter([1 / 0]))  # type: ignore[list-item]
    assert [one.level for one in found] == ["warning"] and "ZeroDivisionError" in found[0].message


def test_who_evaluates_as_far_as_it_is_known(retail: Path, tmp_path: Path) -> None:
    spec = load_study(edit(retail, resources={"engine": "auto"}))
    world = World(tmp_path / "worlds", "k" * 64, FileHashes(tmp_path))
    check = ProjectCheck((), (), 3, None)
    assert "shows when it is recorded" in who_evaluates(spec, check).message
    named = who_evaluates(spec, replace(check, python_models=("fitted",)))
    assert named.level == "warning" and "fitted" in named.message
    assert world.judgement() is None
    for refusal, level, words in (
        (None, "ok", "compiled"),
        ("model.a.m is a Python model", "warning", "because model.a.m is a Python model"),
    ):
        world.judge(refusal)
        told = who_evaluates(spec, replace(check, judgement=world.judgement()))
        assert (told.level, words in told.message) == (level, True)
    compiled = load_study(edit(retail, resources={"engine": "compiled"}))
    assert who_evaluates(compiled, replace(check, judgement=world.judgement())).is_error
    (tmp_path / "data.csv").write_text("v\n1\n")
    world.learn(ReadLog(tmp_path, files={str(tmp_path / "data.csv")}), since=time.time() + 9)
    assert world.judgement() is None  # the world is another one than when that was found out


def test_findings_for_programs() -> None:
    finding = CheckResult("disk", "error", "full", "free space")
    assert finding.document() == {
        "check": "disk", "level": "error", "message": "full", "advice": "free space",
    }  # fmt: skip
    assert "-> free space" in findings_text([finding])
