"""Looks at an unknown dbt project: what could be moved in it, and what could be aimed at.

The project is parsed and built once, in a scratch database of ours; it is not changed.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from search.errors import ProjectError, ScenarioError
from search.scenario.dbt_session import DbtSession, resolve_profile
from search.scenario.duck_limits import DuckLimits, connect
from search.scenario.given_vars import project_vars
from search.scenario.node_lineage import NodeLineage
from search.scenario.project import TEXT_SUFFIXES, DbtProject
from search.scenario.survey_numbers import Mart, SeedCell, cells_of, mart_of, promise
from search.system.child import Report
from search.system.scratch import create_scratch, remove_scratch

MEMORY_BYTES = 2 * 2**30

_DEFAULT = re.compile(r"\bvar\(\s*(['\"])(?P<name>[^'\"]+)\1\s*(?:,\s*(?P<default>[^(),]+?)\s*\))?")


@dataclass(frozen=True)
class SeenVar:
    """A var that the project reads.

    Attributes:
        name: Its name.
        value: What it holds today: ``dbt_project.yml`` before the default in the SQL; None when
            neither says.
        places: Where it is read, ``file:line``.
    """

    name: str
    value: Any
    places: tuple[str, ...]

    @property
    def is_number(self) -> bool:
        """Whether it could be a range."""
        is_plain = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        return is_plain and math.isfinite(self.value)


@dataclass(frozen=True)
class Survey:
    """What was seen of a project.

    Attributes:
        name: The project's name.
        vars: Vars that it reads.
        cells: Numbers in its seeds.
        marts: Models with numeric columns, the most promising first.
        models: How many models it has.
        has_seeds: Whether it has seeds.
        command: ``build`` where it has snapshots, else ``run``.
        database: The database that its sources are in; None where it has none.
    """

    name: str
    vars: tuple[SeenVar, ...]
    cells: tuple[SeedCell, ...]
    marts: tuple[Mart, ...]
    models: int
    has_seeds: bool
    command: str
    database: Path | None


def survey_project(folder: Path, threads: int, *, report: Report) -> Survey:
    """Parse and build a dbt project once, and return what was seen.

    Args:
        folder: The project.
        threads: DuckDB threads.
        report: Takes a line of progress.

    Raises:
        ProjectError: If there is no project, it does not parse, or does not build.
    """
    scratch = create_scratch()
    try:
        return _Surveyor(folder, scratch, threads, report).survey()
    finally:
        remove_scratch(scratch)


class _Surveyor:
    def __init__(self, folder: Path, scratch: Path, threads: int, report: Report) -> None:
        self._folder = folder
        self._report = report
        self._project = DbtProject(folder)
        self._profile = resolve_profile(folder)
        self._limits = DuckLimits(
            memory_limit_bytes=MEMORY_BYTES,
            threads=threads,
            temp_directory=scratch / "spill",
            max_temp_bytes=4 * MEMORY_BYTES,
        )
        self._database = scratch / "database" / f"{self._profile.catalog}.duckdb"
        self._database.parent.mkdir()
        self._session = DbtSession(
            project_dir=folder,
            profile=self._profile,
            database=self._database,
            home=scratch / "dbt",
            limits=self._limits,
        )

    def survey(self) -> Survey:
        self._report("parsing the dbt project")
        manifest = self._session.parse()
        nodes = manifest.nodes
        models = {key: node for key, node in nodes.items() if node.resource_type == "model"}
        if not models:
            raise ProjectError(f"{self._folder} must have models, but dbt finds none in it")
        seeds = {key: node for key, node in nodes.items() if node.resource_type == "seed"}
        has_snapshots = any(node.resource_type == "snapshot" for node in nodes.values())
        command = "build" if has_snapshots else "run"
        database = self._sources_database(manifest)
        self._build(command, len(models), bool(seeds), database)
        lineage = NodeLineage(manifest)
        with connect(self._database, self._limits, read_only=True) as connection:
            cells = [cell for seed in seeds.values() for cell in cells_of(connection, seed)]
            marts = [
                mart for node in models.values() if (mart := mart_of(connection, node, lineage))
            ]
        return Survey(
            name=str(manifest.metadata.project_name),
            vars=tuple(self._vars()),
            cells=tuple(cells),
            marts=tuple(sorted(marts, key=promise)),
            models=len(models),
            has_seeds=bool(seeds),
            command=command,
            database=database,
        )

    def _sources_database(self, manifest: Any) -> Path | None:
        """Return the database file that sources without a place of their own are in."""
        here = [
            source
            for source in manifest.sources.values()
            if not (source.meta or {}).get("external_location")
            and not getattr(source, "external", None)
            and source.database == self._profile.catalog
        ]
        file = self._folder / str(self._profile.output.get("path", ":memory:"))
        return file.resolve() if here and file.is_file() else None

    def _build(self, command: str, models: int, has_seeds: bool, database: Path | None) -> None:
        if database is not None:
            self._report(f"copying {database.name}, which the project's sources are in")
            shutil.copyfile(database, self._database)
        self._report(f"building {models} models once, in a scratch database")
        try:
            if has_seeds and command == "run":
                self._session.run("seed")
            self._session.run(command)
        except ScenarioError as error:
            raise ProjectError(
                f"the dbt project {self._folder} must build before a study can be made of it, but "
                f"{error}"
            ) from error

    def _vars(self) -> Iterable[SeenVar]:
        given = project_vars(self._folder)
        places: dict[str, list[str]] = {}
        defaults: dict[str, Any] = {}
        for place, file in self._project.read_files():
            if file.suffix not in TEXT_SUFFIXES:
                continue
            text = file.read_text(encoding="utf-8", errors="replace")
            for match in _DEFAULT.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                places.setdefault(match["name"], []).append(f"{place}:{line}")
                if match["default"] is not None:
                    defaults.setdefault(match["name"], _literal(match["default"]))
        for name in sorted(places):
            yield SeenVar(name, given.get(name, defaults.get(name)), tuple(places[name]))


def _literal(text: str) -> Any:
    """Return what a default in SQL stands for; None for an expression."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return value if isinstance(value, int | float | bool | str) else None
