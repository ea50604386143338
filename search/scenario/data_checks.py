"""Checks of a study's data after setup: SQL that must return no row, or whose rows are shown.

They say what is wrong with the inputs, or who is in them, before anything is evaluated. What they
return changes no metric.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from search.errors import SpecError
from search.scenario.duckdb_errors import first_paragraph
from search.scenario.session import ACCESS_ADVICE
from search.scenario.writes import outside_writes
from search.study.scenario import CheckSpec

MAX_ROWS = 200
"""Rows of a check that are kept; that there are more is said."""
MAX_TOLD = 20
"""Rows of a failed check that its error shows."""
_MAX_CELL = 200

Render = Callable[[str, str], str]
Mistaken = Callable[[str, str], SpecError]


@dataclass(frozen=True)
class DataCheck:
    """A check as it runs.

    Attributes:
        name: Its name in the study file.
        sql: The rendered query.
        is_shown: Whether its rows are shown; else there must be none.
        message: What its rows mean, in the author's words; None when it does not say.
    """

    name: str
    sql: str
    is_shown: bool
    message: str | None


@dataclass(frozen=True)
class CheckTable:
    """What a check returned.

    Attributes:
        name: The check's name.
        message: What its rows mean; None when the study file does not say.
        columns: Names of the columns.
        rows: At most ``MAX_ROWS`` rows, every cell as text; NULL is empty.
        is_cut: Whether there are more rows.
    """

    name: str
    message: str | None
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_cut: bool

    def document(self) -> dict[str, Any]:
        """Return it as JSON-safe values, for the trail."""
        return {
            "name": self.name,
            "message": self.message,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "is_cut": self.is_cut,
        }


def plan_check(name: str, given: CheckSpec, *, render: Render, mistaken: Mistaken) -> DataCheck:
    """Return a check of the study file with its SQL rendered.

    Args:
        name: Its name.
        given: The check.
        render: Renders a template, whose key is given for the error.
        mistaken: Makes the error of a key and a message.

    Raises:
        SpecError: If the SQL does not render, or would write.
    """
    key = f"scenario.checks.{name}.sql"
    sql = render(given.sql, key)
    for write in outside_writes(sql):
        raise mistaken(key, f"its SQL may only read, but {write.text()}")
    return DataCheck(name, sql, given.show, given.message)


def run_check(connection: Any, check: DataCheck, mistaken: Mistaken) -> CheckTable | None:
    """Run a check; return its table when it is to be shown, None when it passes.

    Args:
        connection: The baseline, open for reading.
        check: The check.
        mistaken: Makes the error of a key and a message.

    Raises:
        SpecError: If its SQL fails, or returns rows and must return none.
    """
    key = f"scenario.checks.{check.name}"
    try:
        cursor = connection.execute(check.sql)
        columns = tuple(str(column[0]) for column in cursor.description or ())
        fetched: Sequence[Sequence[Any]] = cursor.fetchmany(MAX_ROWS + 1)
    except duckdb.PermissionException as error:
        raise mistaken(f"{key}.sql", f"{first_paragraph(error)}; {ACCESS_ADVICE}") from error
    except duckdb.Error as error:
        raise mistaken(f"{key}.sql", f"its SQL fails: {first_paragraph(error)}") from error
    rows = tuple(tuple(_cell(value) for value in row) for row in fetched[:MAX_ROWS])
    table = CheckTable(check.name, check.message, columns, rows, len(fetched) > MAX_ROWS)
    if check.is_shown:
        return table
    if rows:
        raise mistaken(key, _failure(table))
    return None


def _failure(table: CheckTable) -> str:
    count = f"more than {MAX_ROWS}" if table.is_cut else str(len(table.rows))
    many = "" if count == "1" else "s"
    told = table.rows[:MAX_TOLD]
    lines = [
        "  " + ", ".join(f"{name}: {cell}" for name, cell in zip(table.columns, row, strict=True))
        for row in told
    ]
    first = f"; the first {MAX_TOLD}" if len(table.rows) > len(told) else ""
    meaning = f"{table.message}; " if table.message else ""
    return f"{meaning}it must return no row, but returns {count} row{many}{first}:\n" + "\n".join(
        lines
    )


def _cell(value: Any) -> str:
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    line = " ".join(text.split("\n"))
    return line if len(line) <= _MAX_CELL else line[: _MAX_CELL - 3] + "..."
