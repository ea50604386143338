"""Publishing the trail: ``audit.duckdb`` and its Parquet copies, each replaced as a whole."""

from __future__ import annotations

import errno
from dataclasses import fields
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from search.audit.schema import (
    DATABASE_NAME,
    MEMORY_LIMIT,
    PARQUET_FOLDER,
    TABLES,
    AuditTables,
    Table,
)
from search.audit.views import view_statements
from search.errors import AuditError
from search.system import files
from search.system.sql_text import literal

BLOCK_BYTES = 16 * 1024
"""DuckDB's smallest block: many small tables take a tenth of the room of its default."""


def publish(results_folder: Path, tables: AuditTables) -> Path:
    """Replace the published trail of a results folder by these records.

    A reader that opens the database sees the earlier or the new publication, whole; one
    that holds the earlier open keeps it. Each Parquet file is replaced whole as well, one
    after the other. What a killed publisher left is removed.

    Args:
        results_folder: The study's results folder; created when missing.
        tables: Everything that the trail holds, not only what is new.

    Returns:
        The path of the database.

    Raises:
        AuditError: If it cannot be written; the earlier publication is still there then.
    """
    target = results_folder / DATABASE_NAME
    parquet_folder = results_folder / PARQUET_FOLDER
    try:
        parquet_folder.mkdir(parents=True, exist_ok=True)
        with files.folder_lock(results_folder):
            files.sweep(results_folder)
            files.sweep(parquet_folder)
            arrows = {
                field.name: TABLES[field.name].arrow(getattr(tables, field.name))
                for field in fields(tables)
            }
            _replace_database(target, arrows, view_statements(tables))
            _replace_parquet(parquet_folder, arrows)
    except (OSError, MemoryError, duckdb.Error, pa.ArrowException) as error:
        raise AuditError(
            f"the audit trail must be written to {results_folder}, but that failed ({error}); "
            f"{_advice(error)}, then publish again"
        ) from error
    return target


def _advice(error: Exception) -> str:
    is_memory = isinstance(error, MemoryError | duckdb.OutOfMemoryException)
    if is_memory or getattr(error, "errno", None) == errno.ENOMEM:
        return "it is memory that lacks, not disk: end other programs, or give it more"
    return "check space and permissions there"


def _replace_database(target: Path, arrows: dict[str, pa.Table], views: list[str]) -> None:
    temporary = files.temporary_path(target)
    connection = duckdb.connect(
        str(temporary),
        config={
            "threads": 1,
            "memory_limit": MEMORY_LIMIT,
            "default_block_size": BLOCK_BYTES,
            # Never reach for the network in the middle of a study.
            "autoinstall_known_extensions": False,
        },
    )
    try:
        connection.execute("BEGIN")
        for name, arrow in arrows.items():
            _create_table(connection, TABLES[name], arrow)
        for statement in views:
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT")
    finally:
        connection.close()
    files.replace_durably({temporary: target})


def _create_table(connection: duckdb.DuckDBPyConnection, table: Table, arrow: pa.Table) -> None:
    columns = ", ".join(
        f'"{column.name}" {column.duckdb_type}{" NOT NULL" if column.is_required else ""}'
        for column in table.columns
    )
    connection.execute(f"CREATE TABLE {table.name} ({columns})")
    if arrow.num_rows:
        connection.register("published_rows", arrow)
        connection.execute(f"INSERT INTO {table.name} SELECT * FROM published_rows")
        connection.unregister("published_rows")
    comments = [f"COMMENT ON TABLE {table.name} IS {literal(table.comment)}"]
    comments += [
        f'COMMENT ON COLUMN {table.name}."{column.name}" IS {literal(column.comment)}'
        for column in table.columns
    ]
    connection.execute("; ".join(comments))


def _replace_parquet(folder: Path, arrows: dict[str, pa.Table]) -> None:
    replacements = {}
    for name, arrow in arrows.items():
        target = folder / f"{TABLES[name].name}.parquet"
        temporary = files.temporary_path(target)
        pq.write_table(arrow, temporary, compression="zstd")
        replacements[temporary] = target
    files.replace_durably(replacements)
