"""Looks at an unknown dbt project: what could be moved in it, and what could be aimed at.

The project is parsed and built once, in a scratch database of ours; it is not changed.
"""

from __future__ import annotations

import itertools
import math
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import yaml

from search.errors import ProjectError, ScenarioError
from search.scenario.dbt_session import DbtSession, resolve_profile
from search.scenario.given_vars import project_vars
from search.scenario.limits import DuckLimits, connect
from search.scenario.project import TEXT_SUFFIXES, DbtProject, var_names
from search.system.child import Report
from search.system.scratch import create_scratch, remove_scratch

MEMORY_BYTES = 2 * 2**30
MAX_SEED_ROWS = 200
"""Seeds above that hold data, and no settings that somebody moves."""
NUMERIC = re.compile(r"(TINY|SMALL|BIG|HUGE)?INT(EGER)?$|FLOAT|DOUBLE|REAL|DECIMAL|NUMERIC")

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
class SeedCell:
    """A number in a seed.

    Attributes:
        seed: The seed.
        column: The number's column.
        where: A condition that picks its row.
        value: The number.
    """

    seed: str
    column: str
    where: str
    value: float


@dataclass(frozen=True)
class Mart:
    """A model whose columns could be aimed at.

    Attributes:
        name: The model.
        columns: Its numeric columns, in their order.
        sums: Their sums today.
        rows: Its rows today.
        readers: Models that read it; those that nobody reads are the project's ends.
        vars: Vars that it depends on, through all that it reads.
        seeds: Seeds that it depends on.
    """

    name: str
    columns: tuple[str, ...]
    sums: Mapping[str, float]
    rows: int
    readers: int
    vars: frozenset[str]
    seeds: frozenset[str]


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
        lineage = _Lineage(manifest)
        with connect(self._database, self._limits, read_only=True) as connection:
            cells = [cell for seed in seeds.values() for cell in _cells(connection, seed)]
            marts = [mart for node in models.values() if (mart := _mart(connection, node, lineage))]
        return Survey(
            name=str(manifest.metadata.project_name),
            vars=tuple(self._vars()),
            cells=tuple(cells),
            marts=tuple(sorted(marts, key=_promise)),
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


class _Lineage:
    """What a node depends on: vars that its text and its macros read, and seeds."""

    def __init__(self, manifest: Any) -> None:
        self._manifest = manifest
        self._known: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        self._macros: dict[str, frozenset[str]] = {}
        readers: dict[str, int] = {}
        for node in manifest.nodes.values():
            if node.resource_type in ("model", "snapshot"):
                for parent in node.depends_on.nodes:
                    readers[parent] = readers.get(parent, 0) + 1
        self.readers: Mapping[str, int] = readers

    def of(self, unique_id: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return vars and seeds that a node depends on, by their names."""
        if unique_id not in self._known:
            node = self._manifest.nodes.get(unique_id)
            if node is None:
                return frozenset(), frozenset()
            read = frozenset(var_names(node.raw_code or ""))
            seeds = frozenset({node.name} if node.resource_type == "seed" else ())
            depends = getattr(node, "depends_on", None)  # a seed reads nothing
            for macro in getattr(depends, "macros", ()):
                read |= self._of_macro(macro)
            for parent in getattr(depends, "nodes", ()):
                parents, grown = self.of(parent)
                read, seeds = read | parents, seeds | grown
            self._known[unique_id] = read, seeds
        return self._known[unique_id]

    def _of_macro(self, unique_id: str) -> frozenset[str]:
        if unique_id not in self._macros:
            self._macros[unique_id] = frozenset()  # one that calls itself
            macro = self._manifest.macros.get(unique_id)
            if macro is not None and macro.package_name not in ("dbt", "dbt_duckdb"):
                read = frozenset(var_names(macro.macro_sql))
                for called in macro.depends_on.macros:
                    read |= self._of_macro(called)
                self._macros[unique_id] = read
        return self._macros[unique_id]


def _promise(mart: Mart) -> tuple[Any, ...]:
    """Sort what looks like a result of the project before what looks like a step to one."""
    named = mart.name.startswith(("fct_", "fact_", "mart_", "rpt_", "report_", "metrics"))
    is_step = mart.name.startswith(("stg_", "int_", "base_", "dim_"))
    depends = bool(mart.vars or mart.seeds)
    return (not depends, is_step, mart.readers > 0, not named, mart.rows == 0, mart.name)


def _mart(connection: Any, node: Any, lineage: _Lineage) -> Mart | None:
    """Return a model as something to aim at; None without a table or without numbers."""
    if node.config.materialized == "ephemeral" or not node.relation_name:
        return None
    numbers = [name for name, kind in _columns(connection, node.relation_name) if is_numeric(kind)]
    if not numbers:
        return None
    sums = ", ".join(f"sum({quoted(name)})::double" for name in numbers)
    rows, *values = connection.execute(
        f"select count(*), {sums} from {node.relation_name}"
    ).fetchone()
    read, seeds = lineage.of(node.unique_id)
    named = {
        name: float(value)
        for name, value in zip(numbers, values, strict=True)
        if value is not None and math.isfinite(value)
    }
    readers = lineage.readers.get(node.unique_id, 0)
    return Mart(node.name, tuple(numbers), named, rows, readers, read, seeds)


def _cells(connection: Any, seed: Any) -> list[SeedCell]:
    """Return the numbers of a small seed, each with a condition that picks its row."""
    columns = _columns(connection, seed.relation_name)
    numbers = [name for name, kind in columns if is_numeric(kind)]
    (rows,) = connection.execute(f"select count(*) from {seed.relation_name}").fetchone()
    if not numbers or not 0 < rows <= MAX_SEED_ROWS:
        return []
    names = [name for name, _ in columns]
    table = [
        dict(zip(names, row, strict=True))
        for row in connection.execute(f"select * from {seed.relation_name}").fetchall()
    ]
    key = _key(table, [name for name in names if name not in numbers], names)
    if key is None:
        return []
    return [
        SeedCell(seed.name, column, _condition(row, key), float(row[column]))
        for row in table
        for column in numbers
        if column not in key and row[column] is not None
    ]


def _key(
    table: Sequence[Mapping[str, Any]], texts: Sequence[str], names: Sequence[str]
) -> tuple[str, ...] | None:
    """Return the fewest columns that tell rows apart, words before numbers."""
    if len(table) == 1:
        return ()
    orders = [texts, [name for name in names if name not in texts]]
    for candidates in (orders[0], [*orders[0], *orders[1][:1]]):
        for size in range(1, min(len(candidates), 3) + 1):
            for key in itertools.combinations(candidates, size):
                values = {tuple(row[name] for name in key) for row in table}
                if len(values) == len(table) and not any(None in value for value in values):
                    return key
    return None


def _condition(row: Mapping[str, Any], key: Sequence[str]) -> str:
    parts = [
        f"{quoted(name)} = {row[name] if _is_number(row[name]) else _text(row[name])}"
        for name in key
    ]
    return " and ".join(parts) or "true"


def quoted(name: str) -> str:
    """Return a column's name as SQL takes it, in quotes where it must be.

    Example:
        >>> quoted("pay"), quoted("Net Pay"), quoted("select")
        ('pay', '"Net Pay"', '"select"')
    """
    is_plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) is not None and name not in _reserved()
    return name if is_plain else '"' + name.replace('"', '""') + '"'


@cache
def _reserved() -> frozenset[str]:
    """Return the words that DuckDB takes for names in quotes alone."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select keyword_name from duckdb_keywords() where keyword_category != 'unreserved'"
        ).fetchall()
    return frozenset(row[0] for row in rows)


def is_numeric(kind: str) -> bool:
    """Return whether a column of a DuckDB type holds numbers.

    Example:
        >>> is_numeric("DECIMAL(18,2)"), is_numeric("INTEGER"), is_numeric("INTERVAL")
        (True, True, False)
    """
    return NUMERIC.match(kind) is not None and "[" not in kind


def _columns(connection: Any, relation: str) -> list[tuple[str, str]]:
    rows = connection.execute(f"describe select * from {relation}").fetchall()
    return [(row[0], row[1]) for row in rows]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _literal(text: str) -> Any:
    """Return what a default in SQL stands for; None for an expression."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return value if isinstance(value, int | float | bool | str) else None
