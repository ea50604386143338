"""Which columns of a database hold what is said of single people."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from search.scenario.duck_limits import DEFAULT_CONFIG

_PERSONAL = re.compile(
    r"salar|compensation|wage|payroll|(^|_)(pay|income|bonus|birth|gender|employee_id|person|email"
    r"|first_name|last_name|ssn)(_|$)",
    re.IGNORECASE,
)


def personal_columns(database: Path) -> list[str] | None:
    """Return names of columns that sound like pay or people, in order; None when unknown.

    A name says little of a column, so this is a hint: what is not listed may hold people too.
    """
    try:
        with duckdb.connect(str(database), read_only=True, config=DEFAULT_CONFIG) as connection:
            rows = connection.execute(
                "select distinct column_name from duckdb_columns() where not internal"
            ).fetchall()
    except duckdb.Error:
        return None
    return sorted(row[0] for row in rows if is_personal(row[0]))


def is_personal(column: str) -> bool:
    """Return whether a column's name sounds like pay or people.

    Example:
        >>> is_personal("annual_salary"), is_personal("birth_date"), is_personal("week")
        (True, True, False)
    """
    return _PERSONAL.search(column) is not None
