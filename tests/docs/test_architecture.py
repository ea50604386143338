"""The walls that docs/architecture.md draws: who may import what."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rooms import ORDER, SEARCH, arrows, imported, is_wrong, nodes_of, sums

ROOT = Path(__file__).parents[2]

PURE = ("study", "errors.py")
HEAVY = ("ray", "duckdb", "dbt", "dagster", "optuna", "pyarrow", "sqlalchemy")
DBT = {"dbt", "dbt_common"}
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
    "click": ("cli", "scenario"),  # dbt's command line is click's: dbt_switches.py
}
"""Package to the rooms of ``search/`` that may import it, anywhere in a file."""


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


def test_every_room_has_its_storey() -> None:
    """Nothing stands loose in ``search/``, and no room is missing from the order."""
    names = {path.relative_to(SEARCH).parts[0] for path in SEARCH.rglob("*.py")}
    assert names == {room for storey in ORDER for room in storey}


def test_the_page_tells_of_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {room for storey in ORDER for room in storey if not room.startswith("__")}
    missing = [room for room in rooms if f"| `search/{room.removesuffix('/')}" not in page]
    assert missing == []


def test_mutual_rooms_are_counted(tmp_path: Path) -> None:
    for file, line in (("a/x.py", "import search.b.y"), ("b/y.py", "from search.a.x import z")):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text(line)
    (tmp_path / "loose.py").write_text("import search.a")
    assert sums(tmp_path) == "3 rooms, of these loose files 1; 3 arrows; mutual: a and b"


def test_no_arrow_points_up() -> None:
    wrong = [
        f"{arrow.file}: {arrow.room} -> {arrow.target}"
        for arrow in arrows(SEARCH)
        if is_wrong(arrow)
    ]
    assert wrong == []


def test_an_arrow_that_points_up_is_seen(tmp_path: Path) -> None:
    """Also inside a function, and between neighbours."""
    for room in ("study", "driver", "sampling", "scenario"):
        (tmp_path / "search" / room).mkdir(parents=True)
    up = tmp_path / "search" / "study" / "space.py"
    up.write_text("def late():\n    from search.driver.loop import Driver\n")
    (tmp_path / "search" / "sampling" / "a.py").write_text("import search.scenario.plan\n")
    (tmp_path / "search" / "driver" / "loop.py").write_text("import search.study.space\n")
    wrong = [(a.room, a.target) for a in arrows(tmp_path / "search") if is_wrong(a)]
    assert wrong == [("sampling", "scenario"), ("study", "driver")]


def test_dbt_is_imported_by_three_files_and_invoked_by_one() -> None:
    names = {file.name: set(imported(file)) for file in files_of("scenario")}
    ours = {file for file, known in names.items() if {n.split(".")[0] for n in known} & DBT}
    assert ours == {"dbt_session.py", "dbt_insides.py", "dbt_reads.py"}
    assert [file for file, known in names.items() if "dbt.cli.main" in known] == ["dbt_session.py"]


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


# --- one home for what trials carry, and for Optuna's insides -------------------------

READS_ATTRIBUTES = (
    "storage/trials.py",  # the reader
    "storage/database.py",  # writes what a trial carries
    "storage/vendor.py",
    "storage/versions.py",  # of studies, not of trials
    "sampling/history.py",  # a sampler's own trials: any program's, by the public convention
    "dashboard/shown.py",  # hands out others
)
ATTRIBUTES = {"metric:", "variance:", "all_targets_met", "dispatched_at"}
WRITES_NAMES = ("storage/attributes.py", "study/metrics.py", "audit/records.py")


def nodes() -> Iterator[tuple[str, ast.AST]]:
    for file in sorted(SEARCH.rglob("*.py")):
        name = file.relative_to(SEARCH).as_posix()
        yield from ((name, node) for node in nodes_of(file))


def test_trial_attributes_are_read_by_stored_trial_alone() -> None:
    by_hand = {
        name
        for name, node in nodes()
        if isinstance(node, ast.Attribute) and node.attr in ("user_attrs", "system_attrs")
    }
    assert by_hand <= set(READS_ATTRIBUTES)
    raw = {
        f"{name}: {node.value}"
        for name, node in nodes()
        if isinstance(node, ast.Constant) and node.value in ATTRIBUTES and name not in WRITES_NAMES
    }
    assert not [one for one in raw if not one.endswith("dispatched_at")]


def test_optunas_insides_are_in_one_file() -> None:
    inside = {"_trial_id", "_study_id", "_system_attrs", "_contains", "_frozen"}
    outside = [
        f"{name}: {node.attr}"
        for name, node in nodes()
        if isinstance(node, ast.Attribute)
        and node.attr in inside
        and name != "storage/vendor.py"
        # What a class of ours calls its own.
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]
    assert outside == []
    imports = [
        (name, node.module)
        for name, node in nodes()
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("optuna")
        and any(part.startswith("_") for part in (node.module or "").split("."))
    ]
    assert {name for name, _ in imports} == {"storage/vendor.py"}


# --- a name for one thing -------------------------------------------------------------

SAME_THING = {
    "audit": "the audit of a trail",
    "checks": "the checks of a study file",
    "clean": "what is removed",
    "explorer": "the sliders of the page",
    "export": "tables as files to take along",
    "findings": "what a study found",
    "frontier": "the plan for each value of a target",
    "in_force": "``current: active``",
    "init": "a first study",
    "parameters": "the parameters of a study",
    "progress": "what a running study tells",
    "project": "a dbt project",
    "results": "what a run leaves",
    "sets": "parameter sets",
    "steps": "the steps of a scenario",
    "targets": "the targets of a study",
    "timeline": "when a run did what",
    "vendor": "the insides of another package",
}
"""Names of modules that several rooms have, since each does its part for the same thing."""
OURS = sorted(file for base in (SEARCH, ROOT / "dagster_defs") for file in base.rglob("*.py"))


def several(places: Iterator[tuple[str, Path]]) -> dict[str, list[str]]:
    by_name: dict[str, list[str]] = {}
    for name, file in places:
        by_name.setdefault(name, []).append(str(file.relative_to(ROOT)))
    return {name: files for name, files in by_name.items() if len(files) > 1}


def test_two_classes_do_not_share_a_name() -> None:
    classes = (
        (node.name, file)
        for file in OURS
        for node in nodes_of(file)
        if isinstance(node, ast.ClassDef)
    )
    assert several(classes) == {}


def test_modules_that_share_a_name_are_about_one_thing() -> None:
    shared = several((file.stem, file) for file in OURS if not file.stem.startswith("__"))
    assert set(shared) == set(SAME_THING)


# --- files that one reads in a sitting ------------------------------------------------

MOST_LINES = 400
KNOWN_LONG = {"search/sampling/nearer.py", "search/sampling/proposal.py"}


def test_no_file_is_long() -> None:
    lines = {
        str(file.relative_to(ROOT)): file.read_text(encoding="utf-8").count("\n") for file in OURS
    }
    long = {file: count for file, count in lines.items() if count > MOST_LINES}
    assert {file: count for file, count in long.items() if file not in KNOWN_LONG} == {}
