"""Hashes of contents: texts whole, files in pieces, large files once until they change."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from search.errors import ProjectError

LARGE_BYTES = 4 * 2**20
"""Files from this size on are hashed again only when their size, times or inode change."""
SETTLED_SECONDS = 2.0
"""A file changed more recently may change again within one tick of its clock."""
MEMO_FILE = "hashes.json"
_MAX_KNOWN = 10_000

_State = tuple[int, int, int, int]


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_parts(parts: Iterable[str]) -> str:
    """Return a SHA-256 over texts, each kept apart from the next."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(f"{len(encoded)}\0".encode())
        digest.update(encoded)
    return digest.hexdigest()


class FileHashes:
    """Hashes files; remembers those of large ones between runs.

    What is remembered is a shortcut and no record: a file that cannot be read or written is as
    good as none.

    Args:
        folder: Where to remember; only in this process when None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = None if folder is None else folder / MEMO_FILE
        self._known: dict[str, tuple[_State, str]] | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[FileHashes], tuple[Path | None]]:
        return FileHashes, (None if self._file is None else self._file.parent,)

    def of(self, path: Path) -> str:
        """Return the SHA-256 of a file's content.

        Raises:
            ProjectError: If it cannot be read.
        """
        try:
            before = path.stat()
            if before.st_size < LARGE_BYTES:
                return hash_file(path)
            return self._of_large(Path(os.path.realpath(path)), _state(before))
        except OSError as error:
            raise ProjectError(f"cannot read {path}: {error.strerror or error}") from error

    def _of_large(self, path: Path, state: _State) -> str:
        with self._lock:
            known = self._load()
            entry = known.get(str(path))
            if entry is not None and entry[0] == state:
                return entry[1]
            content = hash_file(path)
            has_settled = time.time_ns() - max(state[1], state[3]) > SETTLED_SECONDS * 1e9
            if has_settled and _state(path.stat()) == state:
                known[str(path)] = (state, content)
                self._keep(known)
            return content

    def _load(self) -> dict[str, tuple[_State, str]]:
        if self._known is None:
            self._known = {}
            with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
                if self._file is not None:
                    document = json.loads(self._file.read_text(encoding="utf-8"))
                    self._known = {
                        str(name): ((int(a), int(b), int(c), int(d)), str(content))
                        for name, ((a, b, c, d), content) in document.items()
                    }
        return self._known

    def _keep(self, known: dict[str, tuple[_State, str]]) -> None:
        while len(known) > _MAX_KNOWN:
            del known[next(iter(known))]
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._file.with_name(f".{MEMO_FILE}-{os.getpid()}")
            temporary.write_text(json.dumps(known), encoding="utf-8")
            temporary.replace(self._file)


def _state(status: os.stat_result) -> _State:
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns
