"""What DuckDB says of an error, as much of it as a message of ours takes."""

from __future__ import annotations


def first_line(error: Exception) -> str:
    """Return the first line: what is wrong, without where it stands in the SQL."""
    return str(error).split("\n", 1)[0]


def first_paragraph(error: Exception) -> str:
    """Return what is wrong with its hints, on one line, without the SQL."""
    return str(error).split("\n\n", 1)[0].replace("\n", " ")
