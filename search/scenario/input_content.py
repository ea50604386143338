"""What an input of a scenario holds now, and how a change of it is told."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from search.scenario.hashing import FileHashes, hash_parts
from search.scenario.held_clock import HeldClock

Kind = Literal["file", "glob", "env", "clock", "remote"]
MISSING = "missing"
_SECRET = re.compile(r"secret|token|password|key", re.IGNORECASE)


class InputContent:
    """Looks at inputs as they are now.

    Args:
        hashes: Hashes files.
        clock: The clock that stands still for the scenario; the real one when None.
    """

    def __init__(self, hashes: FileHashes, clock: HeldClock | None) -> None:
        self._hashes = hashes
        self._clock = clock

    def of(self, kind: Kind, name: str) -> str:
        """Return what stands for an input's content today: a hash, a day, or a word."""
        if kind == "env":
            return env_content(name)
        if kind == "clock":
            return self._clock.day if self._clock else today()
        if kind == "remote":
            return "remote"
        if kind == "file":
            return self._of_file(Path(name))
        matched = sorted(path for path in glob.glob(name, recursive=True) if os.path.isfile(path))
        return hash_parts(f"{path} {self._of_file(Path(path))}" for path in matched)

    def _of_file(self, path: Path) -> str:
        if not path.is_file():
            return MISSING
        log = path.with_name(path.name + ".wal")  # of a database, it holds the latest commits
        with contextlib.suppress(OSError):
            if log.stat().st_size:
                return hash_parts([self._hashes.of(path), self._hashes.of(log)])
        return self._hashes.of(path)


def env_content(name: str) -> str:
    """Return a hash of an environment variable's value, or that it is not set.

    The name of a secret's variable gives no cheap way to try values out.
    """
    value = os.environ.get(name)
    if value is None:
        return MISSING
    if _SECRET.search(name):
        return hashlib.pbkdf2_hmac("sha256", value.encode(), name.encode(), 50_000).hex()
    return hash_parts([value])


def today() -> str:
    """Return today's date (UTC) as it stands in fingerprints and warnings."""
    return datetime.now(UTC).date().isoformat()


def input_files(inputs: Iterable[str]) -> Iterator[Path]:
    """Yield the files that inputs stand for, with the logs of databases, as they are now.

    Args:
        inputs: Keys of inputs.
    """
    for key in inputs:
        kind, name = key.split(" ", 1)
        if kind == "file":
            yield from (Path(name), Path(f"{name}.wal"))
        elif kind == "glob":
            yield from (Path(path) for path in glob.glob(name, recursive=True))


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return which inputs hold something else than before, in words.

    Example:
        >>> changes({"file /data/sales.csv": "a"}, {"file /data/sales.csv": "b"})
        ['/data/sales.csv']
        >>> changes({"clock now()": "2026-01-01"}, {"clock now()": "2026-01-02"})
        ['the day: 2026-01-01 became 2026-01-02']
    """
    words = []
    for key in sorted(before):
        if key not in after or before[key] == after[key]:
            continue
        kind, name = key.split(" ", 1)
        if kind == "clock":
            words.append(f"the day: {before[key]} became {after[key]}")
        else:
            words.append({"env": f"env var {name}", "glob": f"files {name}"}.get(kind, name))
    return list(dict.fromkeys(words))
