"""Writing files so that a reader, an exception or a crash meets whole ones only.

One way to replace a file, one to publish a folder, one to append, one to lock.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from search.errors import AuditError
from search.system import process_start

TEMPORARY_PREFIX = ".tmp-"
BUILDING_PREFIX = ".building-"
LOCK_TIMEOUT_SECONDS = 60.0
LOCK_POLL_SECONDS = 0.02
READ_ONLY = 0o444


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
        sync(temporary)
    for temporary, target in replacements.items():
        os.replace(temporary, target)
    for folder in {target.parent for target in replacements.values()}:
        sync(folder)


def write_durably(target: Path, content: bytes, *, beside: Path | None = None) -> None:
    """Put content in the place of a file; whoever reads it sees the old or the new, whole.

    Args:
        target: The file; keeps its mode when it is there.
        content: What it holds from now on.
        beside: Where the draft lies, a folder on the same file system; the target's own when None.
    """
    draft = temporary_path((beside or target.parent) / target.name)
    try:
        draft.write_bytes(content)
        with suppress(FileNotFoundError):
            draft.chmod(target.stat().st_mode & 0o777)
        replace_durably({draft: target})
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def remove_durably(path: Path) -> None:
    """Remove a file, for good when this returns; a missing one is fine."""
    path.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Make a file's content, or the names inside a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make names that were created, renamed or removed in the folder durable."""
    sync(folder)


def write_at(descriptor: int, content: bytes, end: int) -> None:
    """Write content behind the first ``end`` bytes of a file, durably, and nothing after it.

    What stands there from an append that was cut off is overwritten. The caller counts the
    bytes as written once this returns, and cuts the file back to ``end`` when it raises.

    Raises:
        OSError: If not all of it fits, or the disk refuses.
    """
    written = os.pwrite(descriptor, content, end)
    if written != len(content):
        raise OSError(f"only {written} of {len(content)} bytes fit")
    if os.fstat(descriptor).st_size > end + written:
        os.ftruncate(descriptor, end + written)
    os.fsync(descriptor)


# --- folders that are published whole ------------------------------------------------


@contextmanager
def building_folder(cache: Path) -> Iterator[Path]:
    """Yield a folder inside ``cache`` to build something in; it is removed at the end.

    What builders that died left in the cache is swept first.
    """
    cache.mkdir(parents=True, exist_ok=True)
    sweep_unfinished(cache)
    folder = Path(tempfile.mkdtemp(prefix=_building_prefix(), dir=cache))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish_folder(
    content: Path, target: Path, is_whole: Callable[[Path], bool], *, is_lasting: bool = True
) -> bool:
    """Move a finished folder to its place, whole and durable, its files read-only.

    Args:
        content: The finished folder, on the target's file system.
        target: Where it goes.
        is_whole: Whether a folder that is there already is what was wanted: another process
            finished the same first, and its work stays.
        is_lasting: Whether it must outlive a crash of the machine. What only living processes
            use is moved as it is.

    Returns:
        Whether it is ours that stands there.

    Raises:
        OSError: If it cannot be moved and what stands there is not whole.
    """
    if is_lasting:
        _make_lasting(content)
    try:
        content.rename(target)
    except OSError:
        if not is_whole(target):
            raise
        return False
    finally:
        if is_lasting:
            sync(target.parent)
    return True


def _make_lasting(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            sync(Path(root) / name)
            (Path(root) / name).chmod(READ_ONLY & ~_umask())
        sync(Path(root))


def sweep_unfinished(cache: Path) -> None:
    """Remove what builders that died left in the cache."""
    for folder in cache.glob(f"{BUILDING_PREFIX}*"):
        pid, _, started = folder.name.removeprefix(BUILDING_PREFIX).partition("-")
        if not _is_running(pid, started.partition("-")[0]):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def private(*folders: Path, is_shared: bool = False) -> Iterator[None]:
    """Let only this user read what is written meanwhile, by child processes as well.

    Args:
        folders: What is there already is closed to others as well, where it is this user's.
        is_shared: Whether the folders' group may read (and never write) them, too.
    """
    before = os.umask(_SHARED_MASK if is_shared else _PRIVATE_MASK)
    if not folders and before & _SHARED_MASK == _SHARED_MASK:
        os.umask(before)  # of a block around this one, and others are kept out already
    try:
        for folder in folders:
            if is_shared:
                _share(folder)
            elif _is_own(folder):
                with suppress(OSError):
                    folder.chmod(0o700)
        yield
    finally:
        os.umask(before)


_PRIVATE_MASK, _SHARED_MASK = 0o077, 0o027


def _share(folder: Path) -> None:
    """Open a folder, what is in it and the one around it to its group, and to nobody else."""
    for path in (folder.parent, folder, *folder.rglob("*")):
        if _is_own(path):
            mode = path.lstat().st_mode
            more = 0o050 if stat.S_ISDIR(mode) else 0o040
            less = 0 if path == folder.parent else 0o007
            with suppress(OSError):
                path.chmod((stat.S_IMODE(mode) | more) & ~less)


def _is_own(path: Path) -> bool:
    """Whether a file or folder is there, is this user's, and is no link to another."""
    try:
        state = path.lstat()
    except OSError:
        return False
    return state.st_uid == os.getuid() and not stat.S_ISLNK(state.st_mode)


def sweep(folder: Path) -> None:
    """Remove what killed publishers left; the caller holds the folder's lock."""
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _building_prefix() -> str:
    return f"{BUILDING_PREFIX}{os.getpid()}-{int(process_start.started())}-"


def _is_running(pid: str, started: str) -> bool:
    """Whether the builder lives; a pid that is used again belongs to somebody else."""
    try:
        now = process_start.started(int(pid))
        was = psutil.Process(int(pid)).create_time()  # as earlier versions noted it
        return not started.isdigit() or any(abs(int(started) - it) < 2 for it in (now, was))
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False
    except psutil.AccessDenied:
        return True


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


# --- locks --------------------------------------------------------------------------


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes out until the end of the block, waiting for whoever is in.

    Args:
        path: A folder that is there, or a lock file, which is made when it is missing and stays.
    """
    descriptor = lock_path(path, lambda: _open_lockable(path))
    assert descriptor is not None
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def folder_lock(folder: Path, *, timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Keep other publishers of the folder out; needs no file and ends with the process.

    Args:
        folder: What is locked; or a file, which must be there.
        timeout_seconds: The longest wait for another process.

    Raises:
        AuditError: If another process keeps the lock for longer.
    """
    deadline = time.monotonic() + timeout_seconds
    while (descriptor := _lock_existing(folder)) is None:
        if time.monotonic() > deadline:
            raise AuditError(
                f"one process may publish to {folder} at a time, but another one has been "
                f"at it for {timeout_seconds:.0f} s; stop it, then try again"
            )
        time.sleep(LOCK_POLL_SECONDS)
    try:
        yield
    finally:
        os.close(descriptor)


def lock_path(path: Path, opened: Callable[[], int], *, is_patient: bool = True) -> int | None:
    """Return a descriptor that holds the kernel's lock on what a path leads to.

    The lock ends when the descriptor is closed, at the latest with the process, so a killed
    holder locks nobody out. A holder may remove the path before it lets go: who waited for the
    old one finds that the path no longer leads to it, and starts over.

    Args:
        path: What is locked.
        opened: Opens the path, or makes it first; called again when it was removed meanwhile.
        is_patient: Whether to wait for another holder.

    Returns:
        The descriptor; None when somebody else has the lock and nobody is to wait.

    Raises:
        OSError: If the file system knows no locks (some network file systems).
    """
    mode = fcntl.LOCK_EX if is_patient else fcntl.LOCK_EX | fcntl.LOCK_NB
    while True:
        descriptor = opened()
        try:
            fcntl.flock(descriptor, mode)
            if _leads_to(path, descriptor):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock_existing(path: Path) -> int | None:
    return lock_path(path, lambda: os.open(path, os.O_RDONLY), is_patient=False)


def _open_lockable(path: Path) -> int:
    if path.is_dir():
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _leads_to(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
