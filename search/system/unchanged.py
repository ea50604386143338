"""Files that must not change while something is made of them: a dbt project and what it reads.

dbt reads the project anew for every step. A model that is edited meanwhile would be mixed with old
ones, and its numbers kept under the fingerprint of the old. So would data, in either engine.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from search.errors import ProjectError

Files = Callable[[], Iterable[Path]]
_Mark = tuple[int, int, int, int]
SHOWN = 5
LARGE_BYTES = 32 * 2**20
"""Above this any write counts as a change: nobody waits for gigabytes to be hashed again."""


class Untouched:
    """Whether nobody wrote files since this was made, not even what they held before.

    Looks at size, inode and times, which any write changes.

    Args:
        files: Lists the files, again at each check: one that is added counts as well.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._marks = {path: _mark(path) for path in files()}

    def require(self, what: str) -> None:
        """Refuse what was made meanwhile.

        Args:
            what: What was going on, as the rest of a sentence.

        Raises:
            ProjectError: Naming what was written.
        """
        now = {path: _mark(path) for path in self._files()}
        moved = sorted(
            path for path in {*now, *self._marks} if now.get(path) != self._marks.get(path)
        )
        if moved:
            raise ProjectError(
                f"{_named(moved)} changed {what}, so nobody knows which content was read; nothing "
                "of it is kept; start again when the files are complete"
            )


class Unchanged:
    """Whether files are what they were when this was made.

    Looks at size, inode and times first, which any write changes, and at contents only where
    they moved.

    Args:
        files: Lists the files, again at each check: one that is added counts as well.

    Attributes:
        writes: How many files were seen written anew with what they held: whoever read them
            meanwhile may have read something else.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._marks = {path: _mark(path) for path in files()}
        self._hashes = {path: _hash(path) for path in self._marks}
        self.writes = 0

    @property
    def mark(self) -> str:
        """A hash of when each file was written: another one when one was written since."""
        marks = sorted((str(path), mark) for path, mark in self._marks.items())
        return hashlib.sha256(repr(marks).encode()).hexdigest()[:32]

    def require_untouched(self) -> None:
        """Refuse what was made while a file was written, even with what it held before.

        Raises:
            ProjectError: Naming the files that changed, or that some were written.
        """
        before = self.writes
        self.require()
        if self.writes != before:
            raise ProjectError(
                "a file of the dbt project, or one that it reads, was written meanwhile, so nobody "
                "knows which content was read; start again"
            )

    def changed(self) -> list[Path]:
        """Return the files that were edited, added or removed, in order."""
        now = {path: _mark(path) for path in self._files()}
        moved = []
        for path in sorted({*now, *self._marks}):
            if now.get(path) == self._marks.get(path):
                continue
            if path not in now or path not in self._marks or _hash(path) != self._hashes[path]:
                moved.append(path)
            else:
                self._marks[path] = now[path]  # written anew with what it held
                self.writes += 1
        return moved

    def require(self) -> None:
        """Refuse to go on when something changed.

        Raises:
            ProjectError: Naming what changed.
        """
        if changed := self.changed():
            raise ProjectError(
                f"{_named(changed)} changed while the study ran, so an evaluation may have read "
                "both contents; what was evaluated before is kept, and nothing since; start it "
                "again"
            )


def _named(paths: list[Path]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(str(path) for path in paths[:SHOWN]) + more


def _mark(path: Path) -> _Mark | None:
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_size, state.st_ino, state.st_mtime_ns, state.st_ctime_ns


def _hash(path: Path) -> str:
    """Return a hash of what a file holds; of a large one, of its size and times."""
    try:
        if path.stat().st_size > LARGE_BYTES:
            return str(_mark(path))
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
