"""Scratch folders that know their owner, so that the folders of dead owners are swept."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import psutil

from search.system import process_start

PREFIX = "scenario-search-"
OWNER_FILE = "owner.json"
MAKING_SECONDS = 60.0
"""A folder is empty for so long at most while it is being made."""

_made: set[tuple[int, Path]] = set()


def create_scratch(parent: Path | None = None) -> Path:
    """Make a scratch folder that belongs to this process, and return it.

    Those of dead owners beside it are swept: on a node of a cluster nobody else would.

    Args:
        parent: Where to make it; the system's temp folder when None.
    """
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    sweep_scratch(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    owner = {
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),  # for versions that know nothing else
        "since_boot": process_start.started(),
    }
    (folder / OWNER_FILE).write_text(json.dumps(owner))
    _made.add((os.getpid(), folder))
    return folder


def remove_scratch(folder: Path) -> None:
    """Remove a scratch folder with all it holds; a missing one is fine."""
    shutil.rmtree(folder, ignore_errors=True)
    _made.discard((os.getpid(), folder))


def remove_made() -> None:
    """Remove what this process made and did not remove, when it leaves without its ``finally``."""
    for pid, folder in list(_made):
        if pid == os.getpid():
            remove_scratch(folder)


def sweep_scratch(parent: Path | None = None) -> list[Path]:
    """Remove the scratch folders of owners that are no longer alive, and return them.

    An owner is its pid and its start time, because pids are used again. A folder
    without an owner file was cut off while being made, and is swept too when this
    user owns it, it is empty, and nobody can be making it any more.
    """
    swept = []
    for folder in sorted((parent or Path(tempfile.gettempdir())).glob(f"{PREFIX}*")):
        try:
            is_ours = folder.is_dir() and folder.stat().st_uid == os.getuid()
            is_stale = is_ours and not _has_live_owner(folder)
        except FileNotFoundError:
            continue  # its owner removed it just now
        if is_stale:
            remove_scratch(folder)
            swept.append(folder)
    return swept


def _has_live_owner(folder: Path) -> bool:
    try:
        owner = json.loads((folder / OWNER_FILE).read_text())
        if "since_boot" in owner:
            return bool(process_start.started(int(owner["pid"])) == owner["since_boot"])
        return process_start.is_same(int(owner["pid"]), owner["started"])
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return any(folder.iterdir()) or time.time() - folder.stat().st_mtime < MAKING_SECONDS
