"""The baseline: the part of a scenario that no parameter touches, built once.

It is addressed by a fingerprint of everything it depends on, so a changed input makes
another baseline, and an unchanged one is used again by any study.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from search.errors import DatabaseError, ProjectError, ScenarioError
from search.scenario import input_content, setup_files
from search.scenario.baseline_recipe import FORMAT_VERSION, BaselineRecipe
from search.scenario.duck_limits import DuckLimits, connect
from search.scenario.duckdb_errors import first_paragraph
from search.scenario.given_vars import project_vars
from search.scenario.hashing import FileHashes, hash_file
from search.scenario.project import package_versions
from search.scenario.read_log import ReadLog
from search.scenario.relations import Relations
from search.scenario.seeds import Seeder
from search.scenario.setup_files import SetupFiles
from search.scenario.steps import StepPlace, StepRunner
from search.scenario.workspace import copy_error
from search.scenario.world import World
from search.system import files
from search.system.child import Report
from search.system.seal import Seal, users_seal
from search.system.unchanged import Untouched

RECORD_FILE = "baseline.json"
SEAL = "seal"
WORLDS = "worlds"
"""Folder inside the cache that remembers what baselines and scenarios read."""
ABANDONED_SECONDS = 24 * 3600.0
"""Files of a setup that no baseline names after so long were left behind by a killed build."""


def world_of(recipe: BaselineRecipe, cache: Path) -> World:
    """Return what a baseline depends on beside its recipe, as far as an earlier build noticed."""
    return World(cache / WORLDS, recipe.fingerprint(), FileHashes(cache), recipe.clock)


@dataclass(frozen=True)
class Baseline:
    """A built baseline.

    Attributes:
        path: The database file; never written again.
        fingerprint: What it was made from.
        content_sha256: Hash of the file.
        size_bytes: Size of the file.
        was_built: Whether it was built now, and not found in the cache.
        seconds: What building took when it was built.
        files: What its project wrote beside the database, or None.
    """

    path: Path
    fingerprint: str
    content_sha256: str
    size_bytes: int
    was_built: bool
    seconds: float
    files: SetupFiles | None = None


def known_baseline(recipe: BaselineRecipe, cache: Path, fingerprint: str) -> Baseline | None:
    """Return a baseline of the cache as its record has it; None when there is none.

    Nothing is written, and its files are not held against their hashes.
    """
    folder = _folder(cache, fingerprint)
    try:
        record = _record(folder)
        files = record["files"]
        home = Path(files["home"]) if files else folder
        return Baseline(
            path=folder / f"{recipe.catalog}.duckdb",
            fingerprint=record["fingerprint"],
            content_sha256=record["content_sha256"],
            size_bytes=int(record["size_bytes"]),
            was_built=False,
            seconds=record["seconds"],
            files=files and SetupFiles(home, home, files["writers"], tuple(files["databases"])),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_database(path: Path) -> None:
    """Refuse a database that cannot be copied safely.

    Raises:
        DatabaseError: If it is missing, not DuckDB, held by a process (says which), or
            has a ``.wal`` beside it: copying the file alone would lose those commits.
    """
    if not path.is_file():
        raise DatabaseError(f"scenario.database must be a DuckDB file, but there is none at {path}")
    with connect(path, read_only=True):
        pass
    wal = path.with_name(path.name + ".wal")
    if wal.exists():
        raise DatabaseError(
            f"{path} has commits in {wal.name} that a copy would lose; open it once with "
            "duckdb and run CHECKPOINT, then start again"
        )


def ensure_baseline(
    recipe: BaselineRecipe,
    *,
    cache: Path,
    relations: Relations,
    limits: DuckLimits,
    report: Report,
    untouched: Untouched | None = None,
) -> Baseline:
    """Return the baseline of a recipe: from the cache, or built now.

    It is kept only when neither the project nor what it reads was written meanwhile.

    Args:
        recipe: What to build from.
        cache: Folder of all baselines.
        relations: For ``ref`` in ``sql:`` steps.
        limits: What the build may take.
        report: Takes a line of progress.
        untouched: Says whether the project is the one that the recipe was made from.

    Raises:
        ProjectError: If a setup step fails; names the step and the model. If something that it
            is made from was written meanwhile.
        DatabaseError: If the database to start from cannot be used.
        WorkspaceError: If there is no room.
    """
    given = Untouched(lambda: [*recipe.inputs, *([recipe.database] if recipe.database else [])])
    world = world_of(recipe, cache)
    known = tuple(world.inputs())
    read = Untouched(lambda: input_content.input_files(known))
    fingerprint = world.fingerprint()
    folder = _folder(cache, fingerprint)
    kept = _load(folder, recipe, fingerprint)
    setup_files.sweep(cache, _needed_files(cache), older_than=time.time() - ABANDONED_SECONDS)
    if kept is not None:
        report(f"baseline {fingerprint[:8]} is in the cache ({kept.size_bytes / 1e6:,.1f} MB)")
        return kept
    if any(cache.glob(f"{fingerprint[:16]}*")):
        report("the baseline in the cache was made with another key than this user's; left alone")
    report(f"building baseline {fingerprint[:8]}")
    with files.building_folder(cache) as building, _files_beside(cache) as written:
        started, since = time.perf_counter(), time.time()
        database = building / "content" / f"{recipe.catalog}.duckdb"
        private = (building.resolve(), limits.temp_directory.resolve(), written.resolve())
        reads = ReadLog(recipe.project_dir, private)
        place = StepPlace(
            project_dir=recipe.project_dir,
            profile=recipe.profile,
            relations=relations,
            database=database,
            home=building / "dbt",
            limits=limits,
            allow_external_access=recipe.allow_external_access,
            reads=reads,
            files=written,
            clock=recipe.clock,
        )
        found_files = _build(recipe, place, report)
        world.learn(reads, since=since)
        fingerprint = world.fingerprint()
        folder = _folder(cache, fingerprint)
        baseline = _describe(database, fingerprint, time.perf_counter() - started, found_files)
        for held in (untouched, given, read):
            if held is not None:
                held.require("while the baseline was built")
        _publish(database.parent, folder, baseline)
        built = _load(folder, recipe, fingerprint)
    if built is None:
        raise DatabaseError(f"the baseline in {folder} was damaged while it was being made")
    return replace(built, was_built=True)


@contextmanager
def _files_beside(cache: Path) -> Iterator[Path]:
    """Yield where the setup may write files; gone afterwards unless a baseline needs it."""
    folder = setup_files.new_folder(cache)
    try:
        yield folder
    finally:
        if folder not in _needed_files(cache):
            setup_files.remove(folder)


def _needed_files(cache: Path) -> set[Path]:
    """Return the folders that baselines of the cache name."""
    needed = set()
    for record in cache.glob(f"*/{RECORD_FILE}"):
        try:
            needed.add(Path(json.loads(record.read_text())["files"]["home"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return needed


def _build(recipe: BaselineRecipe, place: StepPlace, report: Report) -> SetupFiles | None:
    """Run the setup; return what it wrote beside the database."""
    database = place.database
    database.parent.mkdir()
    if recipe.database is not None:
        check_database(recipe.database)
        try:
            shutil.copyfile(recipe.database, database)
        except OSError as error:
            raise copy_error(error, recipe.database, database.parent) from error
    runner = StepRunner(place)
    runner.seeder = None if recipe.seed is None else Seeder(recipe.seed)
    for number, step in enumerate(recipe.setup, start=1):
        report(f"  setup {number}/{len(recipe.setup)}: {step.name}")
        runner.set_time(number - 1 - len(recipe.setup))
        try:
            names = {**project_vars(recipe.project_dir), **recipe.vars}
            runner.run(step, dbt_vars=recipe.vars, sql_vars=names)
        except ScenarioError as error:
            where = f", {error.fields['model']}" if "model" in error.fields else ""
            raise ProjectError(
                f"the baseline cannot be built: {step.name}{where}: {error.message}"
            ) from error
        except duckdb.Error as error:
            raise ProjectError(
                f"the baseline cannot be built: {step.name}: {first_paragraph(error)}"
            ) from error
    for note in runner.notes:
        report(f"  {note}")
    with connect(database, place.limits) as connection:
        connection.execute("checkpoint")
    return runner.session.files.written.for_next()


def _describe(
    database: Path, fingerprint: str, seconds: float, written: SetupFiles | None
) -> Baseline:
    return Baseline(
        path=database,
        fingerprint=fingerprint,
        content_sha256=hash_file(database),
        size_bytes=database.stat().st_size,
        was_built=True,
        seconds=seconds,
        files=written,
    )


def _publish(content: Path, folder: Path, baseline: Baseline) -> None:
    """Move a finished baseline into the cache, whole or not at all."""
    record = {
        "format_version": FORMAT_VERSION,
        "fingerprint": baseline.fingerprint,
        "content_sha256": baseline.content_sha256,
        "size_bytes": baseline.size_bytes,
        "seconds": baseline.seconds,
        "versions": package_versions(),
        "files": None if baseline.files is None else baseline.files.document(),
    }
    record[SEAL] = _seal().of(json.dumps(record, sort_keys=True))
    (content / RECORD_FILE).write_text(json.dumps(record, indent=2))
    # Where another process finished the same baseline first, both have the same content.
    files.publish_folder(content, folder, lambda there: (there / RECORD_FILE).exists())


def _folder(cache: Path, fingerprint: str) -> Path:
    """Return where this user's baseline of a fingerprint is."""
    return cache / f"{fingerprint[:16]}-{_seal().name}"


def _seal() -> Seal:
    return users_seal().for_purpose("baselines")


def _record(folder: Path) -> dict[str, Any]:
    """Return a baseline's record.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is damaged, or this user did not make it.
        KeyError: If it has no seal.
    """
    record: dict[str, Any] = json.loads((folder / RECORD_FILE).read_text())
    mark = record.pop(SEAL)
    if not _seal().is_on(mark, json.dumps(record, sort_keys=True)):
        raise ValueError("the record does not carry this user's seal")
    return record


def _load(folder: Path, recipe: BaselineRecipe, fingerprint: str) -> Baseline | None:
    """Return the cached baseline when it is whole; a damaged one is removed."""
    path = folder / f"{recipe.catalog}.duckdb"
    try:
        record = _record(folder)
        # Earlier versions forgot what the setup wrote, and said nothing of it here.
        written = record["files"] and SetupFiles.of_document(record["files"])
        is_whole = record["files"] is None or written is not None
        is_ours = record["fingerprint"] == fingerprint
        if is_whole and is_ours and record["content_sha256"] == hash_file(path):
            return Baseline(
                path=path,
                fingerprint=fingerprint,
                content_sha256=record["content_sha256"],
                size_bytes=record["size_bytes"],
                was_built=False,
                seconds=record["seconds"],
                files=written,
            )
    except (OSError, ValueError, KeyError):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    return None
