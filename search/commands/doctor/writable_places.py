"""The places that a study writes to: results, storage, lock, scratch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from search.commands.doctor.check_result import CheckResult
from search.errors import LeaseError
from search.study import StudySpec
from search.study.budget import format_bytes

NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "glusterfs", "lustre")


def nearest_existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def results_folder(results: Path) -> Iterator[CheckResult]:
    place = nearest_existing(results)
    if not place.is_dir():
        yield CheckResult(
            "results", "error", f"{results} must be a folder, but {place} is a file",
            "name another folder with --results",
        )  # fmt: skip
    elif not os.access(place, os.W_OK | os.X_OK):
        yield CheckResult(
            "results", "error", f"{place} must be writable, but is not",
            "change its permissions, or name another folder with --results",
        )  # fmt: skip
    elif (kind := _file_system(place)).startswith(NETWORK_FILE_SYSTEMS):
        yield CheckResult(
            "results", "warning", f"{place} is on a network file system ({kind}), where SQLite "
            "and locks are not dependable",
            "keep results on a local disk, or the study in PostgreSQL (`storage:`)",
        )  # fmt: skip
    else:
        made = "" if results.exists() else ", which a run creates"
        yield CheckResult("results", "ok", f"{results.absolute()}{made}, is writable")


def _file_system(path: Path) -> str:
    import psutil

    mounts = {disk.mountpoint: disk.fstype for disk in psutil.disk_partitions(all=True)}
    place = path.resolve()
    for folder in (place, *place.parents):
        if str(folder) in mounts:
            return mounts[str(folder)]
    return ""


def storage(spec: StudySpec, results: Path) -> Iterator[CheckResult]:
    from search.storage.database import masked
    from search.storage.existing import existing_storage
    from search.storage.versions import latest_version
    from search.study.layout import Layout

    url = Layout(results, spec.study).storage_url(spec)
    prefix = "sqlite:///"
    if url.startswith(prefix):
        place = nearest_existing(Path(url.removeprefix(prefix)).parent)
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            message = f"{masked(url)} must be in a writable folder, but {place} is not one"
            advice = "name another file with `storage:`, or change the folder's permissions"
            yield CheckResult("storage", "error", message, advice)
            return
    with existing_storage(url) as storage:
        latest = latest_version(storage, spec.study) if storage is not None else None
        held = f"holds {latest.name}" if latest else "no study yet, a run creates it"
        yield CheckResult("storage", "ok", f"{masked(url)}: {held}")


def lock(spec: StudySpec, results: Path) -> Iterator[CheckResult]:
    from search.storage.lock import StudyLock
    from search.study.layout import Layout

    try:
        holder = StudyLock(Layout(results, spec.study).lock).holder()
    except (OSError, LeaseError) as error:
        yield CheckResult("lock", "warning", f"the study's lock cannot be looked at: {error}")
        return
    if holder is not None:
        yield CheckResult(
            "lock",
            "warning",
            f"a driver runs this study now: pid {holder.get('pid')} on {holder.get('host')} since "
            f"{holder.get('since')}",
            "wait for it; `scenario-search status` shows how far it is",
        )


def scratch(spec: StudySpec) -> Iterator[CheckResult]:
    from search.system.scratch import PREFIX, _has_live_owner
    from search.workers.resources import scratch_parent

    parent = scratch_parent(spec) or Path(tempfile.gettempdir())
    place = nearest_existing(parent)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        message = f"{parent} must be a writable folder for temporary databases, but is not"
        advice = "name another folder with resources.scratch"
        yield CheckResult("scratch", "error", message, advice)
        return
    if _file_system(place) in ("tmpfs", "ramfs"):
        yield CheckResult(
            "scratch", "warning", f"{place} lies in memory (tmpfs), so temporary databases and "
            "spilled data take memory beside the budget",
            "name a folder on a disk with resources.scratch",
        )  # fmt: skip
    stale = [
        folder
        for folder in sorted(parent.glob(f"{PREFIX}*"))
        if folder.is_dir() and folder.stat().st_uid == os.getuid() and not _has_live_owner(folder)
    ]
    if stale:
        size = sum(_size(folder) for folder in stale)
        yield CheckResult(
            "scratch",
            "warning",
            f"{len(stale)} folders in {parent} were left by processes that were killed "
            f"({format_bytes(size)})",
            "nothing: the next run removes them",
        )
    else:
        yield CheckResult("scratch", "ok", f"{parent} is writable and holds nothing stale")


def _size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except OSError:
                continue
    return total
