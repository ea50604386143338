"""What `ray job submit --working-dir` would send to a cluster, and what must not be in it."""

from __future__ import annotations

import fnmatch
import logging
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from search.errors import JobError
from search.study.budget import format_bytes
from search.workers.ray import vendor

LIMIT_BYTES = 100 * 2**20
"""The most that is sent. It lies in the head node's memory; older releases of Ray take no more."""
IGNORE_FILE = ".rayignore"
SHOWN = 8
"""Mistakes and biggest files that are listed; the rest is counted."""

_DATABASES = ("*.duckdb", "*.duckdb.wal", "*.db", "*.db-wal", "*.db-shm", "*.sqlite*")
_SECRETS = (".env", ".netrc", ".pgpass", "id_rsa", "id_ed25519", "*.pem", "auth_token")
_FOLDERS = {
    ".git": "the repository's history",
    ".venv": "an environment",
    "venv": "an environment",
    "node_modules": "an environment",
    "site-packages": "an environment",
}


@dataclass(frozen=True)
class UploadedFile:
    """A file of the upload.

    Attributes:
        path: Relative to the folder.
        size_bytes: Its size, not zipped.
    """

    path: Path
    size_bytes: int


@dataclass(frozen=True)
class Upload:
    """What would be sent.

    Attributes:
        folder: The folder that is sent.
        files: Every file, in order of their paths.
        archive_bytes: Size of the archive that travels.
    """

    folder: Path
    files: tuple[UploadedFile, ...]
    archive_bytes: int

    def text(self) -> str:
        """Return the upload in a sentence, for people."""
        biggest = sorted(self.files, key=lambda file: -file.size_bytes)[:3]
        shown = ", ".join(f"{file.path} {format_bytes(file.size_bytes)}" for file in biggest)
        return f"{len(self.files)} files of {self.folder}, {format_bytes(self.archive_bytes)}" + (
            f"; the biggest: {shown}" if shown else ""
        )


def plan_upload(folder: Path, excludes: Sequence[str] = ()) -> Upload:
    """Return what Ray would send of a folder, after its own rules, and refuse what must stay.

    Ray leaves out what ``.gitignore`` and ``.rayignore`` name (in every folder), what
    ``excludes`` names, and ``.git``, ``.venv``, ``venv`` and ``__pycache__``.

    Args:
        folder: What ``--working-dir`` would name.
        excludes: ``excludes`` of the runtime environment, in the form of ``.gitignore``.

    Raises:
        JobError: If it is no folder, or would send results, databases, environments, secrets,
            or more than Ray takes; names each file and what to write into ``.rayignore``.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise JobError(f"the upload must be a folder, but {folder} is not one")
    files = _files(folder, excludes)
    mistakes = [
        f"{given.path} ({why})"
        for given in files
        if (why := _forbidden(folder, given.path)) is not None
    ]
    if mistakes:
        rest = f" and {len(mistakes) - SHOWN} more" if len(mistakes) > SHOWN else ""
        raise JobError(
            f"the upload of {folder} must hold no results, databases, environments or secrets, "
            f"but it holds {', '.join(mistakes[:SHOWN])}{rest}; "
            f"name them in {folder / IGNORE_FILE}, in the form of .gitignore",
        )
    size = _archive_bytes(folder, files)
    if size > LIMIT_BYTES:
        big = sorted(files, key=lambda file: -file.size_bytes)[:SHOWN]
        shown = ", ".join(f"{file.path} ({format_bytes(file.size_bytes)})" for file in big)
        raise JobError(
            f"the upload must be at most {format_bytes(LIMIT_BYTES)} (100 MiB), but "
            f"{folder} makes {format_bytes(size)}; put data where every node reads it and name "
            f"it by an absolute path, or name it in {folder / IGNORE_FILE}; the biggest: {shown}",
        )
    return Upload(folder, files, size)


def _files(folder: Path, excludes: Sequence[str]) -> tuple[UploadedFile, ...]:
    """Return the files that Ray's own walk visits, so that both see the same."""
    uploaded: list[UploadedFile] = []

    def visit(path: Path) -> None:
        if path.is_file():
            uploaded.append(UploadedFile(path.relative_to(folder), path.stat().st_size))

    quiet = logging.getLogger(f"{__name__}.walk")
    quiet.setLevel(logging.CRITICAL)
    vendor.walk_upload(folder, excludes, visit, quiet)
    return tuple(sorted(uploaded, key=lambda file: file.path))


def _forbidden(folder: Path, path: Path) -> str | None:
    for part in path.parts[:-1]:
        if part in _FOLDERS:
            return _FOLDERS[part]
    if any(fnmatch.fnmatch(path.name, pattern) for pattern in _SECRETS):
        return "a secret"
    if any(fnmatch.fnmatch(path.name, pattern) for pattern in _DATABASES):
        return "a database"
    for above in path.parents:
        place = folder / above
        if (place / "pyvenv.cfg").is_file():
            return "an environment"
        if (place / "events.jsonl").is_file() and (place / "study.db").is_file():
            return "results of a study"
    return None


def _archive_bytes(folder: Path, files: Sequence[UploadedFile]) -> int:
    """Return the size of the archive; Ray stores files without compressing them."""
    with tempfile.TemporaryFile() as archive:
        with zipfile.ZipFile(archive, "w", strict_timestamps=False) as zipped:
            for file in files:
                zipped.writestr(str(file.path), b"")
        return archive.tell() + sum(file.size_bytes for file in files)
