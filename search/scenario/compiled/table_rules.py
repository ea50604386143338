"""What DuckDB's own CREATE TABLE statement says of a table beside its rows."""

from __future__ import annotations

from search.scenario.compiled.lexer import Token, tokenize

_TABLE_RULES = frozenset(("check", "primary", "unique", "foreign", "constraint"))
"""Words with which an entry begins that is no column."""


def given_columns(definition: str) -> list[str]:
    """Return the columns of DuckDB's own CREATE TABLE statement that are not generated.

    Example:
        >>> given_columns("CREATE TABLE g(a INTEGER, b INTEGER GENERATED ALWAYS AS(a), CHECK(a>1))")
        ['a']
    """
    columns, entry, depth = [], list[Token](), 0
    for token in (token for token in tokenize(definition) if token.is_significant):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if (depth == 1 and token.text in "(,") or (depth == 0 and token.text == ")"):
            words = {part.text.lower() for part in entry if part.kind == "word"}
            is_column = bool(entry) and entry[0].text.lower() not in _TABLE_RULES
            if is_column and "generated" not in words and (name := entry[0].name):
                columns.append(name)
            entry = []
            if depth == 0:
                return columns
        elif depth:
            entry.append(token)
    return columns
