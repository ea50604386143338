"""Writing several files as one: what is decided is finished, also after a crash in between."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from search.audit import canonical
from search.errors import AuditError
from search.parameter_sets.working_copy import FileChange
from search.system import files

PENDING = "pending.json"
"""In the folder of the journals: what was decided and is not known to be done."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep others from changing parameter sets of the project; finish what a crash left.

    A folder that is made for it and stays empty is removed.

    Raises:
        AuditError: If the folder cannot be written, or another process keeps it for a minute.
    """
    is_new = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise AuditError(
            f"parameter sets are kept in {folder}, which must be writable, but is not "
            f"({error.strerror})"
        ) from error
    try:
        with files.folder_lock(folder):
            files.sweep(folder)
            _finish(folder)
            yield
    finally:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


def commit(folder: Path, changes: Sequence[FileChange]) -> None:
    """Replace files, all of them or none; the caller holds ``exclusive``.

    The decision is one rename. From then on a crash is made good by ``exclusive``, which
    every command that reads or writes parameter sets goes through.

    Args:
        folder: The folder of the journals.
        changes: What to replace, in order.

    Raises:
        AuditError: If a file cannot be written; the files are as before then.
    """
    document = {"format_version": 1, "files": [_document(change) for change in changes]}
    try:
        _replace(folder / PENDING, canonical.dumps(document).encode(), folder)
    except OSError as error:
        raise _refused(folder, error) from error
    try:
        for change in changes:
            _replace(change.path, change.after, folder)
    except OSError as error:
        # The disk refused, yet this process lives: go back at once.
        _roll_back(changes, folder)
        files.remove_durably(folder / PENDING)
        raise _refused(folder, error) from error
    files.remove_durably(folder / PENDING)


def finish_pending(folder: Path) -> str | None:
    """Finish what a crash left half done; return what was done in a sentence, or None."""
    has_leftovers = any(folder.glob(f"{files.TEMPORARY_PREFIX}*"))
    if not has_leftovers and not (folder / PENDING).exists():
        return None
    with files.folder_lock(folder):
        files.sweep(folder)
        return _finish(folder)


def _finish(folder: Path) -> str | None:
    path = folder / PENDING
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_bytes())
        changes = [_change(file) for file in document["files"]]
    except (ValueError, LookupError, TypeError) as error:
        raise AuditError(
            f"{path} must say which files an interrupted command was writing, but is damaged; "
            "compare the files with git, then remove it"
        ) from error
    is_theirs = [_content(swap.path) not in (swap.before, swap.after) for swap in changes]
    if any(is_theirs):
        # Somebody edited a file since: theirs stays, and of ours nothing does.
        ours = [change for change, theirs in zip(changes, is_theirs, strict=True) if not theirs]
        _roll_back(ours, folder)
        done = "undone, because a file was edited meanwhile"
    else:
        for change in changes:
            _replace(change.path, change.after, folder)
        done = "finished"
    files.remove_durably(path)
    return f"a change of parameter sets that was cut off is {done}"


def _roll_back(changes: Sequence[FileChange], folder: Path) -> None:
    for change in reversed(changes):
        if change.before is None:
            change.path.unlink(missing_ok=True)
        elif _content(change.path) != change.before:
            _replace(change.path, change.before, folder)


def _replace(path: Path, content: bytes, folder: Path) -> None:
    if _content(path) != content:
        # Not beside the file: dbt takes every CSV file among the seeds for a seed.
        files.write_durably(path, content, beside=folder)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _document(change: FileChange) -> dict[str, str | None]:
    before = None if change.before is None else base64.b64encode(change.before).decode()
    after = base64.b64encode(change.after).decode()
    seal = hashlib.sha256(f"{change.path.absolute()}\n{before}\n{after}".encode()).hexdigest()
    return {"path": str(change.path.absolute()), "before": before, "after": after, "seal": seal}


def _change(document: dict[str, str | None]) -> FileChange:
    before, after = document["before"], str(document["after"])
    change = FileChange(
        path=Path(str(document["path"])),
        before=None if before is None else base64.b64decode(before),
        after=base64.b64decode(after),
    )
    if _document(change)["seal"] != document["seal"]:
        raise ValueError("the seal is broken")
    return change


def _refused(folder: Path, error: OSError) -> AuditError:
    return AuditError(
        f"a parameter set must be written to {folder.parent}, but the disk refused "
        f"({error.strerror or error}); nothing was changed"
    )
