"""Text and names as they must stand in SQL."""

from __future__ import annotations


def escaped(value: object) -> str:
    """Return text as it must stand between the quotes of an SQL string.

    Example:
        >>> escaped("Ann's")
        "Ann''s"
    """
    return str(value).replace("'", "''")


def literal(value: object) -> str:
    """Return text as an SQL string, in its quotes."""
    return f"'{escaped(value)}'"


def quoted(identifier: str) -> str:
    """Return an identifier as it must stand in SQL.

    Example:
        >>> quoted('odd "name')
        '"odd ""name"'
    """
    return '"' + identifier.replace('"', '""') + '"'
