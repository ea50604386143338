"""The trail's tables as files for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from search.audit.publish import DATABASE_NAME, MEMORY_LIMIT
from search.errors import AuditError
from search.system import files

OPTIONS = {"parquet": "format parquet, compression zstd", "csv": "format csv, header true"}
"""File name's end to what DuckDB's COPY takes."""


def export_trail(results_folder: Path, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write every table and view of the published trail as files, each replaced whole.

    Args:
        results_folder: The study's results folder.
        folder: Where the files go; made when missing.
        formats: ``parquet`` and ``csv``, either or both.

    Returns:
        The files, in order of their names.

    Raises:
        AuditError: If nothing is published yet, or the folder cannot be written.
    """
    database = results_folder / DATABASE_NAME
    if not database.exists():
        raise AuditError(
            f"there is no audit trail at {database} yet; start the study with "
            "`scenario-search run`, it is published after the first iteration"
        )
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
    connection = duckdb.connect(config={"threads": 1, "memory_limit": MEMORY_LIMIT})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        path = str(database).replace("'", "''")
        connection.execute(f"ATTACH '{path}' AS audit (READ_ONLY)")
        connection.execute("USE audit")
        names = connection.execute(
            "SELECT table_name FROM information_schema.tables "
            "WHERE table_catalog = 'audit' ORDER BY table_name"
        ).fetchall()
        for (name,) in names:
            for kind in formats:
                target = folder / f"{name}.{kind}"
                temporary = files.temporary_path(target)
                place = str(temporary).replace("'", "''")
                connection.execute(f"COPY (FROM {name}) TO '{place}' ({OPTIONS[kind]})")
                written[temporary] = target
    except duckdb.Error as error:
        for temporary in written:
            temporary.unlink(missing_ok=True)
        raise AuditError(f"the trail cannot be exported to {folder}: {error}") from error
    finally:
        connection.close()
    files.replace_durably(written)
    return sorted(written.values())
