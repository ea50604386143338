"""Runs the steps of a scenario, wherever they run: setup, candidates, recording, Dagster.

Each step is a dbt invocation or SQL of the study's author. Both work on one database, within
the same limits and the profile's settings; the author's SQL resolves names in the profile's
schema, reaches no file unless the study file allows it, and never writes one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from search.errors import OUTSIDE, ScenarioError
from search.scenario.dbt_session import DbtSession
from search.scenario.duck_limits import DuckLimits, strip_resource_settings
from search.scenario.duckdb_errors import first_paragraph
from search.scenario.file_log import file_log
from search.scenario.held_clock import HeldClock
from search.scenario.plan import Profile, StatementObserver
from search.scenario.read_log import ReadLog
from search.scenario.relations import Relations, render_sql
from search.scenario.seeds import Seeder
from search.scenario.session import (
    ACCESS_ADVICE,
    confine,
    dbts_connection,
    use_authors_names,
)
from search.scenario.setup_files import SetupFiles
from search.scenario.writes import outside_writes
from search.study.steps import ExpandedStep


@dataclass(frozen=True)
class StepPlace:
    """Where steps run, and within which bounds.

    Attributes:
        project_dir: The dbt project.
        profile: The resolved profile.
        relations: What ``ref`` and ``source`` mean in the author's SQL.
        database: The database file; it is written.
        home: A folder of these steps alone, for what dbt writes.
        limits: What DuckDB may take.
        allow_external_access: Whether the author's SQL may read files and load extensions.
        reads: Takes what is read beside the database; nobody asks when None.
        files: Where files go that the project writes; a folder inside ``home`` when None.
        given: Files that the setup wrote, which are there before these steps.
        clock: The clock that stands still for them; the real one when None.
        known: Files that dbt's models were seen to read, and folders of patterns: a view over them
            is read by the author's SQL too.
    """

    project_dir: Path
    profile: Profile
    relations: Relations
    database: Path
    home: Path
    limits: DuckLimits
    allow_external_access: bool
    reads: ReadLog | None = None
    files: Path | None = None
    given: SetupFiles | None = None
    clock: HeldClock | None = None
    known: Sequence[str | Path] = ()


class StepRunner:
    """Runs steps in one place.

    Args:
        place: The place and its bounds.
        observer: Sees every statement on its way to DuckDB.

    Attributes:
        seeder: Puts seeds before statements that may draw; None where nothing is seeded.
    """

    def __init__(self, place: StepPlace, observer: StatementObserver | None = None) -> None:
        self.seeder: Seeder | None = None
        self._place = place
        self._observer = observer
        self.session = DbtSession(
            project_dir=place.project_dir,
            profile=place.profile,
            database=place.database,
            home=place.home,
            limits=place.limits,
            reads=place.reads,
            files=place.files,
            given=place.given,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What became of what the project writes, one sentence each."""
        return tuple(self.session.files.notes)

    def begin(self) -> None:
        """Begin with another candidate: the files of the one before are gone."""
        self.session.files.written.forget()
        self.set_time(0)

    def set_time(self, step: int) -> None:
        """Set the clock that stands still to a step, by its place; below 0 in the setup."""
        clock = self._place.clock
        self.session.moment = None if clock is None else clock.at(step)

    def led(self, sql: str, who: str) -> str:
        """Return SQL of the study's author that reads what the project wrote where it lies."""
        return self.session.files.led(sql, who)

    def run(
        self,
        step: ExpandedStep,
        *,
        dbt_vars: Mapping[str, Any],
        sql_vars: Mapping[str, Any] | None = None,
    ) -> None:
        """Run one step.

        Args:
            step: The step.
            dbt_vars: The scenario's and the candidate's vars; the step's own come on top.
            sql_vars: What ``var`` looks up in SQL; the same vars when None.

        Raises:
            ScenarioError: If it fails; names the step, and the model when dbt knows it.
            SpecError: If its SQL does not render.
            duckdb.Error: If its SQL fails.
        """
        if self.seeder is not None:
            self.seeder.begin(step.name)
        try:
            if step.sql is not None:
                names = dbt_vars if sql_vars is None else sql_vars
                self._run_sql(step, names)
            elif step.command is not None:
                self.session.run(
                    step.command,
                    select=step.select,
                    exclude=step.exclude,
                    dbt_vars=dict(dbt_vars) | dict(step.vars),
                    full_refresh=step.full_refresh,
                    observer=self._observer,
                    seeder=self.seeder,
                )
        except ScenarioError as error:
            raise ScenarioError(error.message, **(error.fields | {"step": step.name})) from error

    def _run_sql(self, step: ExpandedStep, names: Mapping[str, Any]) -> None:
        sql = render_sql(
            step.sql or "",
            self._place.relations,
            scenario_vars=names,
            loop=step.loop,
            key=step.name,
        )
        refuse_outside_writes(sql)
        self.saw_statement(sql)
        here = self.led(sql, step.name)
        told = self.session.files.observed(sql, f"the study's {step.name}")
        with self.connection() as connection:
            try:
                allowed = strip_resource_settings(here) or "select 1"
                seeder = self.seeder
                connection.execute(allowed if seeder is None else seeder.seeded(allowed, None))
            except duckdb.PermissionException as error:
                raise ScenarioError(
                    f"{first_paragraph(error)}; {ACCESS_ADVICE}", stage=OUTSIDE
                ) from error
        if self._observer is not None:
            self._observer(told, None, None, None)

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Open the database for SQL of the study's author: metrics, cells, steps.

        Raises:
            DatabaseError: If it cannot be opened as dbt opens it.
        """
        place = self._place
        read = () if place.reads is None else place.reads.places()
        with (
            authors_connection(
                place.database,
                place.profile,
                project_dir=place.project_dir,
                limits=place.limits,
                allow_external_access=place.allow_external_access,
                moment=self.session.moment,
                readable=(*self.session.files.written.folders(), *place.known, *read),
            ) as connection,
            file_log(connection, place.reads),
        ):
            yield connection

    def saw_statement(self, sql: str) -> None:
        """Notice what files the author's SQL may mean."""
        if self._place.reads is not None:
            is_confined = not self._place.allow_external_access
            self._place.reads.saw_statement(sql, is_confined=is_confined)


@contextmanager
def authors_connection(
    database: Path,
    profile: Profile,
    *,
    project_dir: Path,
    limits: DuckLimits,
    allow_external_access: bool,
    read_only: bool = False,
    readable: Sequence[str | Path] = (),
    moment: datetime | None = None,
) -> Iterator[Any]:
    """Open a database for SQL of the study's author, set up as dbt's own and guarded.

    Args:
        database: The database file.
        profile: The profile.
        project_dir: Where relative paths start.
        limits: What DuckDB may take.
        allow_external_access: Whether any file may be read.
        read_only: Whether the database itself may only be read.
        moment: What the time is there; the real time when None.
        readable: Files, and folders of files, that the project wrote or reads: its views may read
            them.

    Raises:
        DatabaseError: If it cannot be opened as dbt opens it.
    """
    with dbts_connection(
        database,
        profile,
        project_dir=project_dir,
        limits=limits,
        read_only=read_only,
        moment=moment,
    ) as connection:
        use_authors_names(connection, profile)
        if not allow_external_access:
            confine(connection, readable)
        yield connection


def refuse_outside_writes(sql: str) -> None:
    """Refuse SQL of the study's author that would change anything but its database.

    Raises:
        ScenarioError: Says what it would do.
    """
    for write in outside_writes(sql):
        raise ScenarioError(
            f"{write.text()}, but SQL of a study may change its candidate's database alone"
            + ("; attach it with (read_only)" if write.kind == "attach" else ""),
            stage=OUTSIDE,
        )
