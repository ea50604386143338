"""Replacing files so that a reader sees the old one or the new one, never a half."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from search.errors import AuditError

TEMPORARY_PREFIX = ".tmp-"
LOCK_TIMEOUT_SECONDS = 60.0
LOCK_POLL_SECONDS = 0.02


def temporary_path(target: Path) -> Path:
    """Return a name beside ``target`` that nobody else uses and that ``sweep`` finds."""
    return target.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}-{target.name}")


def replace_durably(replacements: Mapping[Path, Path]) -> None:
    """Put finished files in the place of others, all of one folder.

    After a power cut each target is whole: the file before or the file after.

    Args:
        replacements: Finished file to the name it takes.
    """
    for temporary in replacements:
        _sync(temporary)
    for temporary, target in replacements.items():
        os.replace(temporary, target)
    for folder in {target.parent for target in replacements.values()}:
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make names that were created, renamed or removed in the folder durable."""
    _sync(folder)


def sweep(folder: Path) -> None:
    """Remove what killed publishers left; the caller holds the folder's lock."""
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep other publishers of the folder out; needs no file and ends with the process.

    Raises:
        AuditError: If another process keeps the lock for a minute.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                raise AuditError(
                    f"one process may publish to {folder} at a time, but another one has been "
                    f"at it for {LOCK_TIMEOUT_SECONDS:.0f} s; stop it, then try again"
                )
            time.sleep(LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
