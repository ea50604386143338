"""The trail's tables as files for other tools."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from search.audit.schema import DATABASE_NAME, MEMORY_LIMIT, not_there
from search.errors import AuditError
from search.system import files

OPTIONS = {"parquet": "format parquet, compression zstd", "csv": "format csv, header true"}
"""File name's end to what DuckDB's COPY takes."""
_LIMITS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": MEMORY_LIMIT,
    "autoinstall_known_extensions": False,
}
_PLAIN = re.compile(r"[a-z][a-z_]{0,62}")


def export_trail(results_folder: Path, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write every table and view of the published trail as files, each replaced whole.

    Args:
        results_folder: The study's results folder.
        folder: Where the files go; made when missing.
        formats: ``parquet`` and ``csv``, either or both.

    Returns:
        The files, in order of their names.

    Raises:
        ResultsMissingError: If nothing is published yet.
        AuditError: If the folder cannot be written.
    """
    database = results_folder / DATABASE_NAME
    if not database.exists():
        raise not_there(database)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with files.folder_lock(folder):
            files.sweep(folder)
            return _export(database, folder, formats)
    except OSError as error:
        raise AuditError(
            f"the trail must be written to {folder}, but it cannot ({error.strerror})"
        ) from error


def _export(database: Path, folder: Path, formats: Sequence[str]) -> list[Path]:
    written = {}
    try:
        with _reading(database) as source, duckdb.connect(config=_LIMITS) as writer:
            writer.execute("SET TimeZone = 'UTC'")
            names = source.execute(
                "SELECT table_name FROM information_schema.tables "
                "WHERE table_catalog = current_database() ORDER BY table_name"
            ).fetchall()
            for (name,) in names:
                if _PLAIN.fullmatch(name) is None:
                    raise AuditError(
                        f"{database} must hold the trail's tables alone, but it has one named "
                        f"{name!r:.80}; it is not one of ours"
                    )
                # The file may be somebody else's, and a view of it say anything: it is read
                # where no other file can be reached.
                rows = source.sql(f'SELECT * FROM "{name}"').to_arrow_table()
                writer.register("exported", rows)
                for kind in formats:
                    target = folder / f"{name}.{kind}"
                    temporary = files.temporary_path(target)
                    place = str(temporary).replace("'", "''")
                    query = _without_formulas(writer) if kind == "csv" else "FROM exported"
                    writer.execute(f"COPY ({query}) TO '{place}' ({OPTIONS[kind]})")
                    written[temporary] = target
                writer.unregister("exported")
    except (duckdb.Error, AuditError) as error:
        for temporary in written:
            temporary.unlink(missing_ok=True)
        if isinstance(error, AuditError):
            raise
        raise AuditError(f"the trail cannot be exported to {folder}: {error}") from error
    files.replace_durably(written)
    return sorted(written.values())


@contextmanager
def _reading(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a published trail so that nothing in it reaches another file."""
    with duckdb.connect(str(database), read_only=True, config=_LIMITS) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def _without_formulas(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the query of ``exported`` with an apostrophe before what a spreadsheet would run."""
    columns = []
    for name, kind, *_ in connection.execute("DESCRIBE exported").fetchall():
        column = '"' + name.replace('"', '""') + '"'
        if kind == "VARCHAR":
            risky = f"{column}[1] IN ('=', '+', '-', '@', chr(9), chr(13))"
            is_text = f"TRY_CAST({column} AS DOUBLE) IS NULL"
            shown = f"chr(39) || {column}"
            columns.append(
                f"CASE WHEN {risky} AND {is_text} THEN {shown} ELSE {column} END AS {column}"
            )
        else:
            columns.append(column)
    return f"SELECT {', '.join(columns)} FROM exported"
