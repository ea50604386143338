"""A dbt project as files: what it consists of, which vars and environment it reads.

Nothing here imports dbt, so that a study whose baseline and program are in the cache
can be fingerprinted without it.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from search.errors import ProjectError
from search.scenario.hashing import FileHashes, hash_parts
from search.scenario.project_files import ProjectPaths, files_read

TEXT_SUFFIXES = frozenset({".sql", ".yml", ".yaml", ".py", ".md", ".jinja", ".j2"})
VERSIONED_PACKAGES = ("duckdb", "dbt-core", "dbt-duckdb", "dbt-adapters")
_NEVER_SHIPPED = frozenset({".git", "__pycache__", ".venv", "node_modules", "parameter_sets"})
_DATABASE_SUFFIXES = (".duckdb", ".wal", ".db", ".lock")
_DBT_COOKIE = ".user.yml"
_VAR = re.compile(r"\bvar\(\s*(?:(['\"])(?P<name>[^'\"]+)\1\s*(?=[,)])|(?P<dynamic>[^),]+))")
_ENV_VAR = re.compile(r"\benv_var\(\s*['\"](?P<name>\w+)['\"]")
STUDY_FILE = re.compile(rb"^study:.*^scenario:|^scenario:.*^study:", re.MULTILINE | re.DOTALL)


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide what a scenario computes."""
    return {name: version(name) for name in VERSIONED_PACKAGES}


@dataclass(frozen=True)
class DbtProject:
    """The files of one dbt project.

    Args:
        folder: The folder with ``dbt_project.yml``.
        not_of_it: Folders that may lie inside and are no part of it: a search's results.
        hashes: Hashes its files.
    """

    folder: Path
    not_of_it: tuple[Path, ...] = ()
    hashes: FileHashes = field(default_factory=FileHashes, compare=False)

    def read_files(self) -> Iterator[tuple[str, Path]]:
        """Yield every file that dbt reads, installed packages included, by its name, in order.

        Study files may lie among them, but dbt makes nothing of them.
        """
        for name, file in files_read(self.folder):
            is_yaml = file.suffix in (".yml", ".yaml")
            if not (is_yaml and STUDY_FILE.search(_read(file))):
                yield name, file

    def files(self) -> Iterator[Path]:
        """Yield every file that may be needed where the project is brought to, in order.

        Beside what dbt reads these are data files below its folder. What dbt itself writes is
        left out by its place. Links are followed, except those that lead out to a folder
        around the project.
        """
        places = {self.folder / name for name, _ in self.read_files()}
        paths = ProjectPaths.of(self.folder)
        left_out = {self.folder / name for name in (*paths.written, paths.packages)}
        left_out |= set(self.not_of_it)
        here, seen = os.path.realpath(self.folder), set()
        for root, folders, names in os.walk(self.folder, followlinks=True):
            real = os.path.realpath(root)
            if real in seen or (root != str(self.folder) and _is_within(here, real)):
                folders.clear()
                continue
            seen.add(real)
            folders[:] = [
                folder
                for folder in sorted(folders)
                if folder not in _NEVER_SHIPPED and Path(root) / folder not in left_out
            ]
            places |= {Path(root) / name for name in names if self._is_shipped(Path(root) / name)}
        yield from sorted(places)

    def _is_shipped(self, file: Path) -> bool:
        if file.name.endswith(_DATABASE_SUFFIXES) or file.name == _DBT_COOKIE:
            return False
        if file.suffix in (".yml", ".yaml") and STUDY_FILE.search(_read(file)):
            return False
        return file.is_file()

    def fingerprint(self) -> str:
        """Return a hash of the files that dbt reads.

        Documentation counts as well: dbt can persist it in the database.
        """
        return self.fingerprint_of(file for _, file in self.read_files())

    def fingerprint_of(self, files: Iterable[Path]) -> str:
        """Return a hash of some files below the folder: their names and contents."""
        parts = (f"{os.path.relpath(file, self.folder)} {self.hashes.of(file)}" for file in files)
        return hash_parts(parts)

    def env_named(self) -> dict[str, str]:
        """Return what the environment variables hold that the texts name, by text search.

        What dbt looks up beyond that (computed names) only dbt itself can tell.
        """
        names: set[str] = set()
        for _, file in self.read_files():
            if file.suffix in TEXT_SUFFIXES:
                names |= set(_ENV_VAR.findall(_read(file).decode("utf-8", "replace")))
        return {name: repr(os.environ.get(name)) for name in sorted(names)}

    def var_reads(self) -> VarReads:
        """Return where each var is read, by text search over the project and its packages."""
        reads: dict[str, list[str]] = {}
        computed: list[str] = []
        for place, file in self.read_files():
            if file.suffix not in TEXT_SUFFIXES:
                continue
            for match in _VAR.finditer(_read(file).decode("utf-8", "replace")):
                if match["name"] is None:
                    computed.append(match["dynamic"].strip())
                    continue
                places = reads.setdefault(match["name"], [])
                if place not in places:
                    places.append(place)
        return VarReads(reads, tuple(dict.fromkeys(computed)))


@dataclass(frozen=True)
class VarReads:
    """Which files read which var.

    Attributes:
        places: Var name to the files that read it, relative to the project.
        computed: Expressions that some ``var(...)`` computes a name by, so that the list may
            lack a var.
    """

    places: dict[str, list[str]]
    computed: tuple[str, ...] = ()

    @property
    def has_dynamic(self) -> bool:
        """Whether some name is computed."""
        return bool(self.computed)

    def nearest(self, name: str) -> str | None:
        """Return the var whose name is closest to the given one, if any is close."""
        close = difflib.get_close_matches(name, self.places, n=1)
        return close[0] if close else None


def var_names(text: str) -> set[str]:
    """Return the vars that a text reads by a plain name.

    Example:
        >>> sorted(var_names("{{ var('a') }} {{ var('b', 1) }} {{ var('c_' ~ x) }}"))
        ['a', 'b']
    """
    return {match["name"] for match in _VAR.finditer(text) if match["name"] is not None}


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ProjectError(f"cannot read {file} of the dbt project: {error.strerror}") from error


def _is_within(inner: str, outer: str) -> bool:
    """Return whether a folder is another one or lies below it."""
    return Path(inner).is_relative_to(outer)
