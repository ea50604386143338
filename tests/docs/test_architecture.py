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

PURE = ("study", "errors.py")
HEAVY = ("ray", "duckdb", "dbt", "dagster", "optuna", "pyarrow", "sqlalchemy")
KNOWS_OPTUNA = "study/space.py"
"""The one pure file that makes Optuna's distributions of parameters."""

ROOMS_OF = {
    "ray": ("workers",),
    "dbt": ("scenario",),
    "dbt_common": ("scenario",),
    "duckdb": ("scenario", "audit", "parameter_sets"),
    "optuna": (
        *("study", "sampling", "storage", "audit", "parameter_sets", "driver"),
        *("report", "commands", "dashboard"),
    ),
    "dagster": (),
    "dagster_dbt": (),
    "click": ("cli",),
}
"""Package to the rooms of ``search/`` that may import it, anywhere in a file."""

ORDER = (
    ("errors.py",),
    ("system",),
    ("study",),
    ("sampling", "scenario"),
    ("storage",),
    ("workers",),
    ("audit",),
    ("parameter_sets",),
    ("driver",),
    ("views",),
    ("report",),
    ("commands",),
    ("dashboard",),
    ("cli",),
    ("__main__.py", "__init__.py"),
)
"""The rooms from the ground up; a file imports from its own room and from storeys below."""


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
    files = files_of(room)
    assert files
    for file in files:
        allowed = {"optuna"} if file == SEARCH / KNOWS_OPTUNA else set()
        packages = {name.split(".")[0] for name in imported(file)}
        assert packages & (set(HEAVY) - allowed) == set(), file


def arrows() -> Iterator[tuple[str, str, str]]:
    """Yield each import of ours: the file, its room, the room that it imports from."""
    for file in sorted(SEARCH.rglob("*.py")):
        room = file.relative_to(SEARCH).parts[0]
        for name in imported(file):
            parts = name.split(".")
            if parts[0] != "search":
                continue
            target = parts[1] if len(parts) > 1 else "__init__"
            is_folder = (SEARCH / target).is_dir()
            yield str(file.relative_to(ROOT)), room, target if is_folder else f"{target}.py"


def test_every_room_has_its_storey() -> None:
    """Nothing stands loose in ``search/``, and no room is missing from the order."""
    names = {path.relative_to(SEARCH).parts[0] for path in SEARCH.rglob("*.py")}
    assert names == {room for storey in ORDER for room in storey}


def test_no_arrow_points_up() -> None:
    storey = {room: height for height, rooms in enumerate(ORDER) for room in rooms}
    wrong = [
        f"{file}: {room} -> {target}"
        for file, room, target in arrows()
        if target != room and storey[target] >= storey[room]
    ]
    assert wrong == []


def test_dbt_is_imported_by_one_file() -> None:
    files = [file for file in sorted(SEARCH.rglob("*.py")) if "dbt.cli.main" in set(imported(file))]
    assert [file.name for file in files] == ["dbt_session.py"]


def test_reading_a_study_file_loads_no_engine() -> None:
    """A wall that is written down but crossed at run time would cost every start seconds."""
    code = (
        "import sys, search.study, search.study.targets, search.study.budget\n"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == []
