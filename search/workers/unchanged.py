"""Files that must not change while a study runs: its dbt project and what it reads beside.

dbt reads the project anew for every step. A model that is edited meanwhile would be mixed with old
ones, and its numbers kept under the fingerprint of the old. So would data, in either engine.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from search.errors import ProjectError
from search.scenario.outcome import Outcome
from search.workers.contract import WorkerPool
from search.workers.passing_pool import PassingPool

Files = Callable[[], Iterable[Path]]
_Mark = tuple[int, int, int, int]
SHOWN = 5
LARGE_BYTES = 32 * 2**20
"""Above this any write counts as a change: nobody waits for gigabytes to be hashed again."""


class Unchanged:
    """Whether files are what they were when this was made.

    Looks at size, inode and times first, which any write changes, and at contents only where
    they moved.

    Args:
        files: Lists the files, again at each check: one that is added counts as well.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._marks = {path: _mark(path) for path in files()}
        self._hashes = {path: _hash(path) for path in self._marks}

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
        return moved

    def require(self) -> None:
        """Refuse to go on when something changed.

        Raises:
            ProjectError: Naming what changed.
        """
        changed = self.changed()
        if changed:
            names = ", ".join(str(path) for path in changed[:SHOWN])
            more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
            raise ProjectError(
                f"{names}{more} changed while the study ran, so an evaluation may have read both "
                "contents; what was evaluated before is kept, and nothing since; start it again"
            )


class UnchangedPool(PassingPool):
    """Passes on outcomes as long as what they were evaluated with has not changed.

    Args:
        pool: Evaluates. It stays its owner's.
        unchanged: Looked at after each evaluation and before its outcome counts.
        forget: Called when something changed, before that is raised.
    """

    def __init__(self, pool: WorkerPool, unchanged: Unchanged, forget: Callable[[], None]) -> None:
        super().__init__(pool)
        self._unchanged = unchanged
        self._forget = forget

    def next_outcome(self, timeout_seconds: float | None = None) -> Outcome | None:
        """Return the next outcome, once it is known that nothing changed meanwhile."""
        return self._true(self._pool.next_outcome(timeout_seconds))

    def ready_outcome(self) -> Outcome | None:
        """Return an outcome that has come in, once it is known that nothing changed meanwhile."""
        return self._true(self._pool.ready_outcome())

    def _true(self, outcome: Outcome | None) -> Outcome | None:
        if outcome is not None:
            try:
                self._unchanged.require()
            except ProjectError:
                self._forget()
                raise
        return outcome


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
