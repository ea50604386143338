"""A trial's isolated DuckDB: what one candidate does, no other can see."""

from __future__ import annotations

import errno
import shutil
from abc import ABC, abstractmethod
from pathlib import Path

from search.errors import WorkspaceError


class Workspace(ABC):
    """An isolated, writable database that starts as the baseline.

    Obligations of an implementation:

    * After ``create`` the database holds exactly the baseline's relations, under the
      catalog name of the baseline.
    * Nothing that is done in it changes the baseline or another workspace.
    * ``discard`` removes every trace, also after a failed ``create``, and may be called
      twice. The workspace can then be created anew.
    """

    isolation: str
    """Its name in the study file and in the audit trail."""

    @property
    @abstractmethod
    def path(self) -> Path:
        """The database file that dbt is pointed at."""

    @abstractmethod
    def create(self) -> None:
        """Bring the workspace into the baseline's state.

        Raises:
            WorkspaceError: If there is no room or no permission to make it.
        """

    @abstractmethod
    def discard(self) -> None:
        """Remove the workspace and all that it spilled."""

    def __enter__(self) -> Workspace:
        self.create()
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


class FileCopyWorkspace(Workspace):
    """A real copy of the baseline file, under the worker's own folder.

    Args:
        baseline: The baseline's database file; it must be checkpointed.
        folder: A folder of this worker alone.
    """

    isolation = "copy"

    def __init__(self, *, baseline: Path, folder: Path) -> None:
        self._baseline = baseline
        self._folder = folder

    @property
    def path(self) -> Path:
        """The copy; it keeps the baseline's file name, which is the catalog's name."""
        return self._folder / self._baseline.name

    def create(self) -> None:
        """Copy the baseline.

        Raises:
            WorkspaceError: If there is no room or no permission to copy it.
        """
        self.discard()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._baseline, self.path)
        except OSError as error:
            self.discard()
            raise copy_error(error, self._baseline, self._folder) from error

    def discard(self) -> None:
        """Remove the copy, its write-ahead log and its spill files."""
        shutil.rmtree(self._folder, ignore_errors=True)


def copy_error(error: OSError, source: Path, folder: Path) -> WorkspaceError:
    """Return the error for a copy that failed, with what it needed and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed = source.stat().st_size if source.exists() else 0
        return WorkspaceError(
            f"no room for a copy of the baseline ({needed / 1e6:,.0f} MB) in {folder}; "
            "free some disk or set resources.scratch to a larger one"
        )
    return WorkspaceError(f"cannot copy {source} to {folder}: {error.strerror or error}")
