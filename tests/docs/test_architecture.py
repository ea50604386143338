"""The walls that docs/architecture.md draws: who may import what."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEARCH = ROOT / "search"

PURE = ("spec", "space.py", "targets.py", "budget.py", "errors.py", "figures.py")
HEAVY = ("ray", "duckdb", "dbt", "dagster", "optuna", "pyarrow", "sqlalchemy")

ROOMS_OF = {
    "ray": ("workers",),
    "dbt": ("scenario",),
    "dbt_common": ("scenario",),
    "duckdb": ("scenario", "audit", "parameter_sets"),
    "optuna": (
        *("space.py", "sampling", "storage", "audit"),
        *("driver.py", "recorder.py", "report", "what_if.py", "run.py"),
        *("appraisal.py", "warm_start.py", "candidates.py", "dashboard"),
    ),
    "dagster": (),
    "dagster_dbt": (),
    "click": (
        *("cli.py", "cli_audit.py", "cli_cluster.py", "cli_dashboard.py"),
        *("cli_options.py", "cli_sets.py"),
    ),
}
"""Package to the rooms of ``search/`` that may import it, anywhere in a file."""


def imported(file: Path) -> Iterator[str]:
    """Yield the packages that a file imports, inside functions as well."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def files_of(room: str) -> list[Path]:
    place = SEARCH / room
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


@pytest.mark.parametrize("package", sorted(ROOMS_OF))
def test_a_package_is_imported_in_its_rooms_only(package: str) -> None:
    outside = [
        str(file.relative_to(ROOT))
        for file in sorted(SEARCH.rglob("*.py"))
        if file.relative_to(SEARCH).parts[0] not in ROOMS_OF[package]
        and any(name.split(".")[0] == package for name in imported(file))
    ]
    assert outside == []


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_imports_no_engine(room: str) -> None:
    allowed = {"optuna"} if room == "space.py" else set()
    files = files_of(room)
    assert files
    for file in files:
        found = {name.split(".")[0] for name in imported(file)}
        assert found & (set(HEAVY) - allowed) == set(), file


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_depends_on_pure_rooms_only(room: str) -> None:
    pure = {f"search.{one.removesuffix('.py')}" for one in PURE}
    for file in files_of(room):
        ours = {".".join(n.split(".")[:2]) for n in imported(file) if n.startswith("search.")}
        assert ours <= pure, file


def test_dbt_is_imported_by_one_file() -> None:
    files = [file for file in sorted(SEARCH.rglob("*.py")) if "dbt.cli.main" in set(imported(file))]
    assert [file.name for file in files] == ["dbt_session.py"]


def test_reading_a_study_file_loads_no_engine() -> None:
    """A wall that is written down but crossed at run time would cost every start seconds."""
    code = (
        "import sys, search.spec, search.targets, search.budget\n"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == []
