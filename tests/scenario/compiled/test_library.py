"""Programs on disk: whole or not there, found by what they depend on, compiled once."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sql_scenario import Compiled, Script

from search.errors import RecordingError
from search.scenario.compiled import library as library_module
from search.scenario.compiled.library import Library
from search.scenario.compiled.program import HOISTED_FILE, PROGRAM_FILE, save
from search.scenario.compiled.source import Source
from search.scenario.compiled.variants import NeedsVariants
from search.scenario.hashing import hash_file
from search.study.parameters import ParameterSpec

SCRIPT = Script(
    setup=("create table a as select range as k, range * 0.5 as v from range(9)",),
    lines=(
        "create table still as select sum(v) as v from a",
        "create table moved as select v * ({p}) as v from still",
    ),
    metrics={"moved": "select v from moved"},
)
MODE = {"choices": ["calm", "busy"], "current": "calm", "bind": {"var": "mode"}}
RATE = {"low": 0.0, "high": 1.0, "current": 0.5, "bind": {"var": "p"}}
CANDIDATE = {"p": 0.5, "mode": "calm"}


def silent(_: str) -> None:
    """Take a line of progress."""


class Compilations:
    """Stands in for recording dbt: puts a ready program into the folder, and counts."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.log = compiled.folder / "compilations.log"
        self.needed: tuple[str, ...] = ()
        self.seconds = 0.0

    def __call__(
        self,
        source: Source,
        first: Mapping[str, Any],
        folder: Path,
        *,
        fixed: Sequence[str],
        typed: Sequence[str],
        report: Any,
    ) -> Any:
        with self.log.open("a") as log:
            log.write(f"{sorted(fixed)} {first}\n")
        assert not typed
        if set(self.needed) - set(fixed):
            raise NeedsVariants(self.needed, "templates look at it")
        shutil.copyfile(self.compiled.content / HOISTED_FILE, folder / HOISTED_FILE)
        time.sleep(self.seconds)
        save(self.compiled.program, folder)
        return self.compiled.program

    @property
    def count(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def compilations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compilations:
    made = Compilations(Compiled(SCRIPT, tmp_path / "study"))
    monkeypatch.setattr(library_module, "compile_program", made)
    return made


@pytest.fixture
def library(compilations: Compilations, tmp_path: Path) -> Library:
    return library_of(compilations, tmp_path)


def library_of(compilations: Compilations, folder: Path, mode: Any = MODE) -> Library:
    parameters = {
        "p": ParameterSpec.model_validate(RATE),
        "mode": ParameterSpec.model_validate(mode),
    }
    source = Source(compilations.compiled.factory, parameters, None)
    return Library.of(source, folder / "programs")


def test_a_program_is_compiled_once(library: Library, compilations: Compilations) -> None:
    program, _ = library.find_or_compile(CANDIDATE, report=silent)
    again, _ = library.find_or_compile(CANDIDATE | {"p": 0.75}, report=silent)
    assert program == again
    assert compilations.count == 1


def test_each_value_of_a_parameter_that_decides_has_a_program(
    library: Library, compilations: Compilations
) -> None:
    compilations.needed = ("mode",)
    _, calm = library.find_or_compile(CANDIDATE, report=silent)
    assert library.fixed() == ("mode",)
    assert library.find(CANDIDATE | {"mode": "busy"}) is None
    _, busy = library.find_or_compile(CANDIDATE | {"mode": "busy"}, report=silent)
    assert calm != busy
    assert compilations.count == 3  # one found the need


def test_more_values_than_were_recorded_make_another_library(
    compilations: Compilations, tmp_path: Path
) -> None:
    wider = MODE | {"choices": ["calm", "busy", "hectic"]}
    one, other = library_of(compilations, tmp_path), library_of(compilations, tmp_path, wider)
    assert one.folder != other.folder


def test_another_scenario_has_another_library(compilations: Compilations, tmp_path: Path) -> None:
    one = library_of(compilations, tmp_path)
    plan = replace(compilations.compiled.plan, fingerprints={"scenario": "other"})
    factory = replace(compilations.compiled.factory, plan=plan)
    assert Library.of(replace(one.source, factory=factory), tmp_path / "programs") != one


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "empty"])
@pytest.mark.parametrize("name", [PROGRAM_FILE, HOISTED_FILE, "checksums.json"])
def test_a_damaged_program_is_compiled_anew(
    name: str, damage: str, library: Library, compilations: Compilations
) -> None:
    _, folder = library.find_or_compile(CANDIDATE, report=silent)
    file = folder / name
    content = file.read_bytes()
    file.unlink()
    middle = len(content) // 2
    if damage != "remove":
        damaged = {
            "truncate": content[:middle],
            "flip": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "empty": b"",
        }[damage]
        file.write_bytes(damaged)
    assert library.find(CANDIDATE) is None
    _, again = library.find_or_compile(CANDIDATE, report=silent)
    assert (again / name).read_bytes()
    assert compilations.count == 2


def test_changed_sql_in_a_cached_program_never_runs(
    library: Library, compilations: Compilations
) -> None:
    _, folder = library.find_or_compile(CANDIDATE, report=silent)
    file = folder / PROGRAM_FILE
    text = file.read_text()
    file.unlink()
    file.write_text(text.replace("select v * (", "select 2 * v * ("))
    program, _ = library.find_or_compile(CANDIDATE, report=silent)
    assert program == compilations.compiled.program


def test_a_program_whose_checksums_were_made_to_fit_never_runs(
    library: Library, compilations: Compilations
) -> None:
    _, folder = library.find_or_compile(CANDIDATE, report=silent)
    file, sums = folder / PROGRAM_FILE, folder / "checksums.json"
    text = file.read_text().replace("select v * (", "select 2 * v * (")
    document = json.loads(sums.read_text())
    for path in (file, sums):
        path.unlink()
    file.write_text(text)
    document["files"][PROGRAM_FILE] = hash_file(file)
    sums.write_text(json.dumps(document))
    told: list[str] = []
    program, _ = library.find_or_compile(CANDIDATE, report=told.append)
    assert program == compilations.compiled.program
    assert "was not made with this user's key; recording anew" in told[0]


def test_a_program_of_another_user_is_left_alone_and_said(
    library: Library, compilations: Compilations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, theirs = library.find_or_compile(CANDIDATE, report=silent)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "somebody"))
    told: list[str] = []
    mine = library_of(compilations, tmp_path)
    _, folder = mine.find_or_compile(CANDIDATE, report=told.append)
    assert folder != theirs and theirs.exists() and compilations.count == 2
    assert "made with another key than this user's, so it is not run" in told[0]
    shutil.rmtree(mine.folder)
    shutil.copytree(library.folder, mine.folder)  # named as mine
    assert mine.find(CANDIDATE) is None and mine.variants() is None


def test_a_failed_compilation_leaves_nothing(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RecordingError("a model cannot be replayed")

    monkeypatch.setattr(library_module, "compile_program", fail)
    with pytest.raises(RecordingError, match="cannot be replayed"):
        library.find_or_compile(CANDIDATE, report=silent)
    assert [one.name for one in library.folder.iterdir()] == ["compiling.lock"]


def compile_in_child(library: Library) -> None:
    library.find_or_compile(CANDIDATE, report=silent)


@pytest.mark.fault
def test_two_processes_compile_the_same_program_once(
    library: Library, compilations: Compilations
) -> None:
    compilations.seconds = 0.3
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=compile_in_child, args=(library,)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(30)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert compilations.count == 1
    assert library.find(CANDIDATE) is not None


@pytest.mark.fault
def test_a_killed_compilation_leaves_no_half_program(
    library: Library, compilations: Compilations
) -> None:
    compilations.seconds = 60.0
    child = multiprocessing.get_context("fork").Process(target=compile_in_child, args=(library,))
    child.start()
    deadline = time.monotonic() + 30
    while not list(library.folder.glob(".building-*/*/*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join(30)
    assert library.find(CANDIDATE) is None
    compilations.seconds = 0.0
    library.find_or_compile(CANDIDATE, report=silent)  # its lock died with it
    assert not list(library.folder.glob(".building-*"))
