"""The trail's tables as files for other tools."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from search.audit.schema import DATABASE_NAME, MEMORY_LIMIT, not_there
from search.audit.views import metric_names, parameter_kinds, statements_by_view
from search.errors import AuditError
from search.system import files
from search.system.sql_text import literal, quoted

OPTIONS = {"parquet": "format parquet, compression zstd", "csv": "format csv, header true"}
"""File name's end to what DuckDB's COPY takes."""
_LIMITS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": MEMORY_LIMIT,
    "autoinstall_known_extensions": False,
}
_RISKY = "=+-@\t\r\n"
"""What a cell that a spreadsheet would run begins with."""
_HARMLESS = (
    *("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT"),
    *("UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "DATE", "TIME", "TIMESTAMP"),
)
"""Kinds of columns that hold no text; one of lists of them begins alike, and with a bracket."""
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
            for name in (*_tables(source, writer, database), *_own_views(writer)):
                for kind in formats:
                    target = folder / f"{name}.{kind}"
                    temporary = files.temporary_path(target)
                    place = literal(temporary)
                    query = _without_formulas(writer, name) if kind == "csv" else f'FROM "{name}"'
                    writer.execute(f"COPY ({query}) TO {place} ({OPTIONS[kind]})")
                    written[temporary] = target
    except (duckdb.Error, AuditError) as error:
        for temporary in written:
            temporary.unlink(missing_ok=True)
        if isinstance(error, AuditError):
            raise
        raise AuditError(f"the trail cannot be exported to {folder}: {error}") from error
    files.replace_durably(written)
    return sorted(written.values())


def _tables(
    source: duckdb.DuckDBPyConnection, writer: duckdb.DuckDBPyConnection, database: Path
) -> list[str]:
    """Copy the file's tables, and nothing of what else it holds; return their names.

    Raises:
        AuditError: If one has a name that is none of ours.
    """
    names = source.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() "
        "ORDER BY table_name"
    ).fetchall()
    for (name,) in names:
        if _PLAIN.fullmatch(name) is None:
            raise AuditError(
                f"{database} must hold the trail's tables alone, but it has one named "
                f"{name!r:.80}; it is not one of ours"
            )
        writer.register("incoming", source.sql(f'SELECT * FROM "{name}"').to_arrow_table())
        writer.execute(f'CREATE TABLE "{name}" AS FROM incoming')
        writer.unregister("incoming")
    return [name for (name,) in names]


def _own_views(writer: duckdb.DuckDBPyConnection) -> list[str]:
    """Make the trail's views anew over the copied tables; return their names.

    Those in the file may be somebody else's, and a view of it say anything, so none is run.
    """
    names = []
    for name, statements in statements_by_view(parameter_kinds(writer), metric_names(writer)):
        try:
            for statement in statements:
                writer.execute(statement)
        except (duckdb.CatalogException, duckdb.BinderException):
            continue  # a trail of an earlier version lacks a table or a column of it
        names.append(name)
    return names


@contextmanager
def _reading(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a published trail so that nothing in it reaches another file."""
    with duckdb.connect(str(database), read_only=True, config=_LIMITS) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def _without_formulas(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """Return the query of a table with an apostrophe before what a spreadsheet would run."""
    columns = []
    for name, kind, *_ in connection.execute(f'DESCRIBE "{table}"').fetchall():
        column = quoted(name)
        shown = quoted(f"'{name}" if name[:1] in _RISKY else name)
        if kind.startswith(_HARMLESS):
            columns.append(f"{column} AS {shown}")
            continue
        text = f"CAST({column} AS VARCHAR)"
        risky = f"{text}[1] IN ({', '.join(f'chr({ord(sign)})' for sign in _RISKY)})"
        is_text = f"TRY_CAST({text} AS DOUBLE) IS NULL"
        columns.append(
            f"CASE WHEN {risky} AND {is_text} THEN chr(39) || {text} ELSE {text} END AS {shown}"
        )
    return f'SELECT {", ".join(columns)} FROM "{table}"'
