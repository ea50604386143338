"""A lock that keeps a second driver out of a study and that the kernel gives back."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from weakref import WeakSet

import psutil

from search.errors import LeaseError, StorageError
from search.system import files

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What ``flock`` says on file systems without it, flock(2)."""


class StudyLock:
    """Exclusive hold on a study's results folder, for as long as this process lives.

    The lock is the kernel's (``flock``), so a killed driver never leaves a study locked;
    the file's content only tells a person who holds it. A context manager.

    Args:
        path: The lock file, for example ``results/compensation-2026/study.lock``. It
            exists only while the lock is held, or after its holder was killed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock, or say at once who has it.

        Raises:
            LeaseError: If another driver holds it; names its host, pid and since when.
            StorageError: If the folder cannot be written.
        """
        if self.is_held:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = self._locked()
            _held.add(self)
            content = json.dumps(_self_description(), sort_keys=True).encode()
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, content, 0)
            os.fsync(self._descriptor)
        except OSError as error:
            self.release()
            if error.errno in _NO_LOCKS:
                raise StorageError(
                    f"the file system of {self.path.parent} must know locks (flock), which keep a "
                    f"second driver out, but it does not ({error.strerror}); mount it with locks, "
                    "or name a folder on a local disk with --results"
                ) from error
            raise StorageError(
                f"the study's folder {self.path.parent} must be writable, but its lock cannot be "
                f"written ({error.strerror}); free space or give another one with --results"
            ) from error

    def release(self) -> None:
        """Give the lock back and remove its file; does nothing when it is not held."""
        if self._descriptor is None:
            return
        # Unlinked while still locked: whoever opened the old file finds, once it gets the
        # lock, that the path no longer leads to it, and starts over. A file that stays, because
        # the folder turned read-only, locks nobody out.
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None
        _held.discard(self)

    def holder(self) -> dict[str, Any] | None:
        """Return who holds the lock, or None.

        Returns:
            ``host``, ``pid``, ``process_started_at`` and ``since``; empty while the holder
            is still writing them.
        """
        if self.is_held:
            return _read(self.path)
        try:
            descriptor = files.lock_path(
                self.path, lambda: os.open(self.path, os.O_RDWR), is_patient=False
            )
        except FileNotFoundError:
            return None
        if descriptor is None:
            return _read(self.path)
        os.close(descriptor)
        return None

    def __enter__(self) -> StudyLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _locked(self) -> int:
        descriptor = files.lock_path(
            self.path,
            lambda: os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644),
            is_patient=False,
        )
        if descriptor is None:
            raise LeaseError(_refusal(self.path, _read(self.path)))
        return descriptor

    def _forget_in_child(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_held: WeakSet[StudyLock] = WeakSet()


def _forget_all_in_child() -> None:
    for lock in list(_held):
        lock._forget_in_child()
    _held.clear()


# A forked child shares the descriptor, and the lock would outlive a killed driver in it.
os.register_at_fork(after_in_child=_forget_all_in_child)


def _self_description() -> dict[str, Any]:
    started = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_started_at": started.isoformat(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _read(path: Path) -> dict[str, Any]:
    """Return what the holder wrote; empty while it is still writing."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _refusal(path: Path, holder: dict[str, Any]) -> str:
    who = "another driver (it is just starting)"
    if holder:
        who = f"pid {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
    return (
        f"one driver may run a study at a time, but {path} is held by {who}; "
        "wait for it to end or stop that process, then start again"
    )
