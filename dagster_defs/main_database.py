"""The main database: the DuckDB file that the dbt project's profile names."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa

from search.errors import DatabaseError

SCHEMA = "optimization"
"""Schema of the tables that hold what studies found, beside dbt's own."""
LOCK_SECONDS = 60.0
"""How long to wait for another process that has the database open."""
POOL = "main_database"
"""DuckDB has one writer at a time: steps of this pool wait for each other."""


@dataclass(frozen=True)
class DatabaseTable:
    """A table of ours in the main database.

    Attributes:
        name: Its name in the schema ``optimization``.
        columns: Its columns; ``scenario_id`` is one of them.
    """

    name: str
    columns: pa.Schema

    @property
    def full_name(self) -> str:
        """The name with its schema."""
        return f"{SCHEMA}.{self.name}"


class MainDatabase(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Opens the main database for a moment; nobody keeps it open."""

    project: str

    def path(self) -> Path:
        """Return the database's file, as dbt finds it.

        Raises:
            ProjectError: If the profile does not name a DuckDB file.
        """
        # dbt is imported by the steps that need the database, not by every process of Dagster.
        from search.scenario.dbt_session import resolve_profile

        project = Path(self.project)
        return project / str(resolve_profile(project).output["path"])

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection that may write.

        Raises:
            DatabaseError: If another process keeps the database open.
        """
        connection = self._open(self.path())
        try:
            yield connection
        finally:
            connection.close()

    def replace_rows(
        self, table: DatabaseTable, rows: Sequence[Mapping[str, Any]], *, scenario: str
    ) -> None:
        """Replace a scenario's rows of a table, all at once; other scenarios stay.

        Args:
            table: Created when it is not there.
            rows: With ``scenario_id``; columns that a row lacks are null.
            scenario: Whose rows they are.

        Raises:
            DatabaseError: If the database refuses.
        """
        whole = [{name: row.get(name) for name in table.columns.names} for row in rows]
        arrow = pa.Table.from_pylist(whole, schema=table.columns)
        with self.connect() as connection:
            try:
                connection.register("new_rows", arrow)
                connection.execute("begin")
                connection.execute(f"create schema if not exists {SCHEMA}")
                connection.execute(
                    f"create table if not exists {table.full_name} as from new_rows limit 0"
                )
                connection.execute(
                    f"delete from {table.full_name} where scenario_id = ?", [scenario]
                )
                connection.execute(f"insert into {table.full_name} by name from new_rows")
                connection.execute("commit")
            except duckdb.Error as error:
                raise DatabaseError(f"{table.full_name} cannot be written: {error}") from error

    def rows(self, table: DatabaseTable, *, scenario: str) -> list[dict[str, Any]]:
        """Return a scenario's rows of a table; none when there is no such table yet.

        Raises:
            DatabaseError: If the database refuses.
        """
        columns = ", ".join(table.columns.names)
        with self.connect() as connection:
            try:
                relation = connection.execute(
                    f"select {columns} from {table.full_name} where scenario_id = ?", [scenario]
                )
            except duckdb.CatalogException:
                return []
            names = table.columns.names
            return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]

    def _open(self, path: Path) -> duckdb.DuckDBPyConnection:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                return duckdb.connect(str(path))
            except duckdb.IOException as error:
                if "lock" not in str(error).lower():
                    raise DatabaseError(f"{path} cannot be opened: {error}") from error
                if time.monotonic() > deadline:
                    raise DatabaseError(
                        f"{path} must be free for writing, but another process has it open: "
                        f"{error}; close it there, then try again"
                    ) from error
            time.sleep(0.5)
