"""A dbt project as files: what it consists of, which vars and environment it reads.

Nothing here imports dbt, so that a study whose baseline and program are in the cache
can be fingerprinted without it.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from search.errors import ProjectError

IGNORED_FOLDERS = frozenset(
    {"target", "logs", ".git", "__pycache__", ".venv", "node_modules", "parameter_sets"}
)
TEXT_SUFFIXES = frozenset({".sql", ".yml", ".yaml", ".py", ".md", ".jinja", ".j2"})
VERSIONED_PACKAGES = ("duckdb", "dbt-core", "dbt-duckdb", "dbt-adapters")
_DATABASE_SUFFIXES = (".duckdb", ".wal", ".db", ".lock")
_DBT_COOKIE = ".user.yml"
_VAR = re.compile(r"\bvar\(\s*(?:(['\"])(?P<name>[^'\"]+)\1|(?P<dynamic>[^)'\"\s]))")
_STUDY_FILE = re.compile(rb"^study:.*^scenario:|^scenario:.*^study:", re.MULTILINE | re.DOTALL)
_ENV_VAR = re.compile(r"\benv_var\(\s*['\"](?P<name>\w+)['\"]")


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide what a scenario computes."""
    return {name: version(name) for name in VERSIONED_PACKAGES}


@dataclass(frozen=True)
class DbtProject:
    """The files of one dbt project.

    Args:
        folder: The folder with ``dbt_project.yml``.
        not_of_it: Folders that may lie inside and are no part of it: a search's results.
    """

    folder: Path
    not_of_it: tuple[Path, ...] = ()

    def files(self) -> Iterator[Path]:
        """Yield every file that belongs to the project, installed packages included, in order.

        Study files may lie in the project's folder, but dbt does not read them.
        """
        for root, folders, names in os.walk(self.folder, followlinks=True):
            folders[:] = sorted(name for name in folders if self._is_own(Path(root) / name))
            for name in sorted(names):
                file = Path(root) / name
                if name.endswith(_DATABASE_SUFFIXES) or name == _DBT_COOKIE:
                    continue
                if file.suffix in (".yml", ".yaml") and _STUDY_FILE.search(_read(file)):
                    continue
                yield file

    def _is_own(self, folder: Path) -> bool:
        return folder.name not in IGNORED_FOLDERS and folder not in self.not_of_it

    def fingerprint(self) -> str:
        """Return a hash of the project's files and of the environment that they read.

        Documentation counts as well: dbt can persist it in the database.
        """
        return self.fingerprint_of(self.files())

    def fingerprint_of(self, files: Iterable[Path]) -> str:
        """Return a hash of some files below the folder and of the environment that they read."""
        digest = hashlib.sha256()
        env_names: set[str] = set()
        for file in files:
            content = _read(file)
            digest.update(f"{file.relative_to(self.folder)}\0{len(content)}\0".encode())
            digest.update(content)
            if file.suffix in TEXT_SUFFIXES:
                env_names |= set(_ENV_VAR.findall(content.decode("utf-8", "replace")))
        for name in sorted(env_names):
            digest.update(f"{name}={os.environ.get(name)!r}\0".encode())
        return digest.hexdigest()

    def var_reads(self) -> VarReads:
        """Return where each var is read, by text search over the project and its packages."""
        reads: dict[str, list[str]] = {}
        has_dynamic = False
        for file in self.files():
            if file.suffix not in TEXT_SUFFIXES:
                continue
            for match in _VAR.finditer(_read(file).decode("utf-8", "replace")):
                if match["name"] is None:
                    has_dynamic = True
                    continue
                places = reads.setdefault(match["name"], [])
                place = str(file.relative_to(self.folder))
                if place not in places:
                    places.append(place)
        return VarReads(reads, has_dynamic)


@dataclass(frozen=True)
class VarReads:
    """Which files read which var.

    Attributes:
        places: Var name to the files that read it, relative to the project.
        has_dynamic: Whether some ``var(...)`` takes a computed name, so that the list
            may lack a var.
    """

    places: dict[str, list[str]]
    has_dynamic: bool

    def nearest(self, name: str) -> str | None:
        """Return the var whose name is closest to the given one, if any is close."""
        close = difflib.get_close_matches(name, self.places, n=1)
        return close[0] if close else None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ProjectError(f"cannot read {file} of the dbt project: {error.strerror}") from error


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_parts(parts: Iterable[str]) -> str:
    """Return a SHA-256 over texts, each kept apart from the next."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(f"{len(encoded)}\0".encode())
        digest.update(encoded)
    return digest.hexdigest()
