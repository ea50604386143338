"""Which files of a dbt project dbt reads, by the rules that dbt itself follows.

dbt looks for some suffixes below the paths that ``dbt_project.yml`` names, in the project and in
each installed package, and follows no link to a folder inside them. What lies elsewhere, a log or
a data file that nothing reads, is no part of the project.

Source:
    ``dbt/parser/read_files.py`` and ``dbt_common/clients/system.py`` of dbt-core 1.11.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT_FILE = "dbt_project.yml"
ROOT_FILES = (
    PROJECT_FILE,
    "packages.yml",
    "dependencies.yml",
    "package-lock.yml",
    "selectors.yml",
    "profiles.yml",
    ".dbtignore",
)
"""Files at the root of a project that dbt reads, where they exist."""

_DEFAULT_PATHS = {
    "model-paths": "models",
    "macro-paths": "macros",
    "seed-paths": "seeds",
    "test-paths": "tests",
    "analysis-paths": "analyses",
    "snapshot-paths": "snapshots",
    "function-paths": "functions",
}
_OLD_NAMES = {"model-paths": "source-paths", "seed-paths": "data-paths"}
_SUFFIXES = frozenset({".sql", ".py", ".yml", ".yaml", ".md", ".csv"})
_WITH_CSV = ("seed-paths", "test-paths")
"""Paths below which dbt reads CSV files: seeds, and fixtures of unit tests."""


@dataclass(frozen=True)
class ProjectPaths:
    """Where a project's parts lie, seen from its folder.

    Attributes:
        sources: Folders that dbt looks through.
        with_csv: Those of them where CSV files count.
        packages: Where packages are installed.
        written: Where dbt writes: its target and its logs.
    """

    sources: tuple[str, ...]
    with_csv: frozenset[str]
    packages: str
    written: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path) -> ProjectPaths:
        """Return the paths that a project's ``dbt_project.yml`` names, dbt's own without one."""
        config = _config(folder)
        named = {key: _named(config, key, default) for key, default in _DEFAULT_PATHS.items()}
        documents = _named(config, "docs-paths", None)
        sources = [path for paths in named.values() for path in paths]
        return cls(
            sources=tuple(dict.fromkeys([*sources, *documents])),
            with_csv=frozenset(path for key in _WITH_CSV for path in named[key]),
            packages=_plain(config.get("packages-install-path"), "dbt_packages"),
            written=(
                _plain(config.get("target-path"), "target"),
                _plain(config.get("log-path"), "logs"),
            ),
        )


def files_read(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file that dbt reads of a project and its packages, once, with its name.

    The name is the path that dbt knows it by: through a package's folder, not where a link
    leads to. The order depends on names alone.
    """
    paths = ProjectPaths.of(folder)
    yield from _of_package(folder, "", paths)
    for package in package_folders(folder, paths):
        yield from _of_package(
            package, f"{paths.packages}/{package.name}/", ProjectPaths.of(package)
        )


def package_folders(folder: Path, paths: ProjectPaths) -> list[Path]:
    """Return the installed packages of a project."""
    try:
        folders = sorted((folder / paths.packages).iterdir())
    except OSError:
        return []
    return [place for place in folders if place.is_dir() and not place.name.startswith("__")]


def _of_package(folder: Path, prefix: str, paths: ProjectPaths) -> Iterator[tuple[str, Path]]:
    files = {name: folder / name for name in ROOT_FILES if (folder / name).is_file()}
    own = {*paths.written, paths.packages}
    for source in paths.sources:
        has_csv = source in paths.with_csv
        for file in _below(folder, source, own):
            suffix = file.suffix.lower()
            if suffix in _SUFFIXES and (has_csv or suffix != ".csv"):
                files[os.path.relpath(file, folder)] = file
    for name in sorted(files):
        yield prefix + name, files[name]


def _below(folder: Path, source: str, own: set[str]) -> Iterator[Path]:
    """Yield the files below a path as dbt finds them; what dbt itself writes is left out."""
    left_out = {os.path.normpath(folder / name) for name in own}
    for root, folders, names in os.walk(folder / source):
        folders[:] = [name for name in folders if os.path.join(root, name) not in left_out]
        yield from (Path(os.path.normpath(root)) / name for name in names)


def _config(folder: Path) -> Mapping[str, Any]:
    try:
        document = yaml.load(
            (folder / PROJECT_FILE).read_bytes(),
            Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader),
        )
    except (OSError, ValueError, yaml.YAMLError):
        return {}  # dbt says better what is wrong with it
    return document if isinstance(document, Mapping) else {}


def _named(config: Mapping[str, Any], key: str, default: str | None) -> list[str]:
    value = config.get(key, config.get(_OLD_NAMES.get(key, key)))
    if not isinstance(value, list):
        return [] if default is None else [default]
    # A path that Jinja computes may be any.
    return [os.path.normpath(given) if "{" not in given else "." for given in map(str, value)]


def _plain(value: Any, default: str) -> str:
    return os.path.normpath(value) if isinstance(value, str) and "{" not in value else default
