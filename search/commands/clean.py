"""What a folder of results holds, and removing of it what is old or too much."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from search.errors import ArgumentError, LeaseError
from search.scenario.baseline import RECORD_FILE
from search.scenario.personal import personal_columns
from search.storage.lock import StudyLock
from search.study.budget import format_bytes, parse_size
from search.study.layout import Layout
from search.views.text import counted, duration_text, table_text

Kind = Literal["baseline", "recording", "results"]
CACHES: tuple[Kind, ...] = ("baseline", "recording")
"""What is made again when it is needed."""

LIMIT_VARIABLE = "SCENARIO_SEARCH_CACHE_LIMIT"
"""The most that baselines and recordings of a folder may take, in the form of ``8GB``."""

IN_USE_SECONDS = 600.0
"""What was used since is left alone: a command that holds no lock may be at it."""

_LEAVING = ".leaving-"
_MOST_COLUMNS = 4


@dataclass(frozen=True)
class Kept:
    """Something that a folder of results holds.

    Attributes:
        kind: ``baseline``, ``recording`` (of dbt's statements, with what was computed from them)
            or ``results`` of a study.
        path: Its folder.
        size_bytes: What it takes on disk.
        used_at: When it was last written or read, in seconds since 1970.
        people: Columns that sound like pay or people; None when that cannot be told.
        is_running: Whether a driver holds the study.
    """

    kind: Kind
    path: Path
    size_bytes: int
    used_at: float
    people: tuple[str, ...] | None
    is_running: bool = False

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        used = datetime.fromtimestamp(self.used_at, UTC).isoformat(timespec="seconds")
        return asdict(self) | {"path": str(self.path), "used_at": used}


def kept_in(results: Path) -> list[Kept]:
    """Return what a folder of results holds, the biggest first; nothing is changed."""
    layout = Layout(results, "")
    items = [
        _kept("baseline", folder, folder.glob("*.duckdb"))
        for folder in _folders(layout.baselines)
        if (folder / RECORD_FILE).is_file()
    ]
    items += [
        _kept("recording", folder, folder.rglob("*.duckdb"))
        for folder in _folders(layout.programs)
        if (folder / "index.json").is_file()
    ]
    items += [
        _kept("results", folder, [folder / "audit.duckdb"], is_running=_is_running(folder))
        for folder in _folders(results)
        if is_study(folder)
    ]
    return sorted(items, key=lambda item: -item.size_bytes)


def is_study(folder: Path) -> bool:
    """Return whether a folder holds what a study found, or the lock of one that begins."""
    return any((folder / name).exists() for name in ("events.jsonl", "study.db", "study.lock"))


def chosen(
    kept: Sequence[Kept],
    *,
    older_than_seconds: float | None,
    down_to_bytes: int | None,
    kinds: Sequence[Kind] = CACHES,
    now: float | None = None,
) -> list[Kept]:
    """Return what would be removed, the longest unused first.

    Nothing of what runs or was used in the last minutes is chosen, and no cache while a study of
    the folder runs: it may read any of them.

    Args:
        kept: What the folder holds.
        older_than_seconds: Choose what has not been used for that long.
        down_to_bytes: Choose until what is left of these kinds takes at most that.
        kinds: Kinds to choose from.
        now: Seconds since 1970; the clock's when None.
    """
    now = time.time() if now is None else now
    is_busy = any(item.is_running for item in kept)
    ours = [item for item in kept if item.kind in kinds]
    free = [
        item
        for item in sorted(ours, key=lambda our: our.used_at)
        if not item.is_running
        and now - item.used_at > IN_USE_SECONDS
        and not (is_busy and item.kind in CACHES)
    ]
    left = sum(item.size_bytes for item in ours)
    picked = []
    for item in free:
        is_old = older_than_seconds is not None and now - item.used_at > older_than_seconds
        is_too_much = down_to_bytes is not None and left > down_to_bytes
        if is_old or is_too_much:
            picked.append(item)
            left -= item.size_bytes
    return picked


def remove(chosen: Iterable[Kept]) -> list[Kept]:
    """Remove what was chosen, and return what is gone.

    A study is removed while its lock is held here, so that one which has begun meanwhile stays.
    """
    gone = []
    for item in chosen:
        if item.kind == "results":
            try:
                with StudyLock(item.path / "study.lock"):
                    _remove(item.path)
            except LeaseError:
                continue
        elif any(_is_running(folder) for folder in _folders(item.path.parents[1])):
            continue
        else:
            _remove(item.path)
        gone.append(item)
    return gone


def cache_limit(environment: Mapping[str, str] = os.environ) -> int | None:
    """Return the limit that the environment sets, in bytes; None without one.

    Raises:
        ArgumentError: If it is not a size.
    """
    text = environment.get(LIMIT_VARIABLE)
    if not text:
        return None
    try:
        return parse_size(text)
    except ValueError as error:
        raise ArgumentError(f"{LIMIT_VARIABLE} {error}") from error


def keep_within(results: Path, limit_bytes: int) -> list[Kept]:
    """Remove the longest unused caches beyond a limit, and return what is gone."""
    kept = kept_in(results)
    return remove(chosen(kept, older_than_seconds=None, down_to_bytes=limit_bytes))


def kept_text(kept: Sequence[Kept], results: Path, now: float | None = None) -> str:
    """Return what a folder holds, for people."""
    if not kept:
        return f"{results.absolute()} holds no baselines, recordings or results"
    now = time.time() if now is None else now
    rows = [
        [
            item.kind,
            str(item.path.relative_to(results)),
            format_bytes(item.size_bytes),
            "runs now" if item.is_running else _age_text(now - item.used_at),
            _people_text(item.people),
        ]
        for item in kept
    ]
    total = format_bytes(sum(item.size_bytes for item in kept))
    table = table_text(["what", "folder", "size", "last used", "pay and people"], rows)
    return f"{table}\n{total} in all"


def _age_text(seconds: float) -> str:
    days = int(seconds // 86_400)
    return f"{counted(days, 'day')} ago" if days else f"{duration_text(max(0, seconds))} ago"


def _people_text(people: tuple[str, ...] | None) -> str:
    if people is None:
        return "unknown"
    more = f" and {len(people) - _MOST_COLUMNS} more" if len(people) > _MOST_COLUMNS else ""
    return ", ".join(people[:_MOST_COLUMNS]) + more if people else "none seen"


def _kept(kind: Kind, folder: Path, databases: Iterable[Path], *, is_running: bool = False) -> Kept:
    stats = {
        file: status
        for file in folder.rglob("*")
        if file.is_file() and (status := _status(file)) is not None
    }
    # Every run reads what all baselines say of themselves.
    used = [
        stat.st_mtime if file.name == RECORD_FILE else max(stat.st_mtime, stat.st_atime)
        for file, stat in stats.items()
    ]
    columns: list[str] | None = []
    for database in databases:
        seen = _seen(database) if database.is_file() else []
        columns = None if seen is None or columns is None else [*columns, *seen]
    return Kept(
        kind=kind,
        path=folder,
        size_bytes=sum(item.st_blocks * 512 for item in stats.values()),
        used_at=max(used, default=time.time()),
        people=None if columns is None else tuple(dict.fromkeys(columns)),
        is_running=is_running,
    )


def _seen(database: Path) -> list[str] | None:
    """Return a database's personal columns; our look does not count as a use of it."""
    before = _status(database)
    columns = personal_columns(database)
    if before is not None:
        with suppress(OSError):
            os.utime(database, ns=(before.st_atime_ns, before.st_mtime_ns))
    return columns


def _status(file: Path) -> os.stat_result | None:
    with suppress(OSError):
        return file.stat()
    return None


def _folders(place: Path) -> list[Path]:
    try:
        inside = sorted(place.iterdir())
    except OSError:
        return []
    return [entry for entry in inside if entry.is_dir() and not entry.name.startswith(".")]


def _is_running(folder: Path) -> bool:
    return StudyLock(folder / "study.lock").holder() is not None


def _remove(folder: Path) -> None:
    """Remove a folder: first out of the way as a whole, so that nobody finds half of it."""
    leaving = folder.with_name(f"{_LEAVING}{folder.name}-{uuid.uuid4().hex[:8]}")
    folder.rename(leaving)
    shutil.rmtree(leaving, ignore_errors=True)
