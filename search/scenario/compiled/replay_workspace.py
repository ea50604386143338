"""Where a program runs: an overlay over the baseline, or a file copy of it."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from search.scenario.compiled.emission import BASELINE, HOISTED
from search.scenario.compiled.program import HOISTED_FILE
from search.scenario.duck_limits import DuckLimits
from search.scenario.held_clock import HeldClock
from search.scenario.plan import ScenarioPlan
from search.scenario.session import open_options, reach_only, set_up_cursor, set_up_instance
from search.scenario.workspace import copy_error
from search.system.sql_text import escaped, quoted

EXTENSION = ".duckdb_extension"
INSTANCE = "__instance"
"""Catalog of an overlay between evaluations; it stays empty."""


CHECKPOINTS = {"checkpoint_threshold": "1TB"}
"""No checkpoint inside an evaluation: DuckDB would compress tables that are thrown away. Measured
at 100,000 employees and 5 years (docs/compiled.md): 1.27 times as fast on an overlay, 1.55 times
on a copy, and no more memory."""


class ReplayWorkspace(ABC):
    """Where a program runs: a connection whose catalog has the name that the SQL carries.

    Obligations of an implementation: after ``begin`` the catalog is as the baseline left it
    (or empty beside it), and nothing that runs in it reaches the baseline.
    """

    is_attached: bool
    """Whether the baseline is attached beside an empty catalog."""

    def __init__(
        self,
        plan: ScenarioPlan,
        program_folder: Path,
        limits: DuckLimits,
        *,
        also: Sequence[Path] = (),
    ) -> None:
        self._plan = plan
        self._also = tuple(also)
        self._hoisted = program_folder / HOISTED_FILE
        self._limits = limits
        self.connection: Any = None
        self.attachments: tuple[str, ...] = ()
        """Statements of the scenario that attach databases for reading."""
        self.clock: HeldClock | None = None
        """Stands still in each session; None where nothing asks for the time."""

    @abstractmethod
    def begin(self) -> None:
        """Bring the catalog into its first state."""

    @abstractmethod
    def end(self) -> None:
        """Forget what ran."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection and remove every file."""

    def _connect(self, path: str) -> Any:
        plan = self._plan
        options = open_options(plan.profile, plan.project_dir, self._limits)
        connection = duckdb.connect(path, config=options | CHECKPOINTS)
        set_up_instance(connection, plan.profile, plan.project_dir)
        if self._hoisted.exists():
            connection.execute(f"attach '{escaped(self._hoisted)}' as {HOISTED} (read_only)")
        for sql in self.attachments:
            connection.execute(sql)
        return connection

    def _confine(self, connection: Any) -> None:
        """Let the instance reach what was noticed while the scenario was recorded, no more."""
        files, folders, _ = self._plan.may_read()
        for file in files:
            if file.endswith(EXTENSION):
                connection.execute(f"load '{escaped(file)}'")
        known = [*files, *map(str, self._also)]
        reach_only(connection, [*known, *(f"{path}.wal" for path in known)], folders)

    def _enter(self, catalog: str) -> None:
        """Set a session up as dbt-duckdb does, inside the catalog."""
        plan = self._plan
        moment = None if self.clock is None else self.clock.at(0)
        without = frozenset(CHECKPOINTS)
        set_up_cursor(self.connection, plan.profile, plan.project_dir, without, moment)
        self.connection.execute(f"use {quoted(catalog)}.main")


class OverlayWorkspace(ReplayWorkspace):
    """An empty in-memory catalog over the baseline, which all workers of a node share.

    Each evaluation has a session of its own: temporary relations and settings end with it.
    """

    is_attached = True
    _instance: Any = None

    def begin(self) -> None:
        """Attach a fresh catalog."""
        catalog = self._plan.profile.catalog
        if self._instance is None:
            instance = self._connect(":memory:")
            # A project without a path has the catalog "memory", which an instance takes.
            instance.execute(f"attach ':memory:' as {INSTANCE}")
            instance.execute(f"use {INSTANCE}")
            instance.execute("detach memory")
            instance.execute(f"attach '{escaped(self._plan.baseline)}' as {BASELINE} (read_only)")
            self._confine(instance)
            self._instance = instance
        self.connection = self._instance.cursor()
        self.connection.execute(f"attach ':memory:' as {quoted(catalog)}")
        self._enter(catalog)

    def end(self) -> None:
        """Detach the catalog with all that it holds."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        if self._instance is not None:
            catalog = quoted(self._plan.profile.catalog)
            self._instance.execute(f"detach database if exists {catalog}")

    def close(self) -> None:
        """Close the connections."""
        self.end()
        if self._instance is not None:
            self._instance.close()
            self._instance = None


class CopyWorkspace(ReplayWorkspace):
    """A file copy of the baseline for each evaluation."""

    is_attached = False

    def __init__(
        self,
        plan: ScenarioPlan,
        program_folder: Path,
        limits: DuckLimits,
        *,
        folder: Path,
        also: Sequence[Path] = (),
    ) -> None:
        super().__init__(plan, program_folder, limits, also=also)
        self._folder = folder

    def begin(self) -> None:
        """Copy the baseline and open the copy."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / self._plan.baseline.name
        try:
            shutil.copyfile(self._plan.baseline, path)
        except OSError as error:
            raise copy_error(error, self._plan.baseline, self._folder) from error
        self.connection = self._connect(str(path))
        self._confine(self.connection)
        self._enter(self._plan.profile.catalog)

    def end(self) -> None:
        """Close and remove the copy."""
        self.close()

    def close(self) -> None:
        """Close and remove the copy."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        shutil.rmtree(self._folder, ignore_errors=True)
