"""Files that the setup wrote: they lie beside the baselines, for every candidate to read."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.scenario.hashing import hash_file

FOLDER = "files"
"""Folder inside the cache of baselines that holds them, a folder a baseline."""


@dataclass(frozen=True)
class SetupFiles:
    """What a project wrote while a baseline was built.

    Attributes:
        folder: Where the files lie now, each below its own absolute path.
        home: Where they lay when they were written: views of the baseline name it.
        writers: Path that the project writes (a file, or a folder with its files) to dbt's id of
            who wrote it; None for a hook that dbt does not name.
        databases: Those of them that are databases.
    """

    folder: Path
    home: Path
    writers: Mapping[str, str | None]
    databases: tuple[str, ...] = ()

    @property
    def is_moved(self) -> bool:
        """Whether they lie elsewhere than where views of the baseline look for them."""
        return self.folder != self.home

    def names(self) -> tuple[str, ...]:
        """Return the names of all files, seen from the folder."""
        files = (file for file in self.folder.rglob("*") if file.is_file())
        return tuple(sorted(str(file.relative_to(self.folder)) for file in files))

    def document(self) -> dict[str, Any]:
        """Return them as JSON-safe values, with a hash of each file."""
        return {
            "home": str(self.home),
            "writers": dict(self.writers),
            "databases": list(self.databases),
            "hashes": {name: hash_file(self.folder / name) for name in self.names()},
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> SetupFiles | None:
        """Return what a document stands for; None when a file is not what it was.

        Raises:
            KeyError: If it is no such document.
        """
        home = Path(document["home"])
        files = cls(home, home, document["writers"], tuple(document["databases"]))
        now = {name: hash_file(home / name) for name in files.names()}
        return files if now == document["hashes"] else None


def new_folder(cache: Path) -> Path:
    """Return where a baseline's files may be written; it is made when the first one is."""
    return cache.absolute() / FOLDER / uuid.uuid4().hex


def remove(folder: Path) -> None:
    """Remove files that no baseline needs."""
    shutil.rmtree(folder, ignore_errors=True)


def sweep(cache: Path, needed: Iterable[Path], *, older_than: float) -> None:
    """Remove folders that no baseline needs and that nobody is writing.

    Args:
        cache: The cache of baselines.
        needed: Folders of the baselines that are there.
        older_than: Seconds since the epoch: younger ones may belong to a build that goes on.
    """
    kept = set(needed)
    for folder in (cache.absolute() / FOLDER).glob("*"):
        if folder not in kept and folder.stat().st_mtime < older_than:
            remove(folder)
