"""Calls of SQL whose result no row and no candidate changes, worked out once.

DuckDB folds ``cast('0x' || substr(md5('42/7/2027'), 1, 7) as bigint)`` by itself, but anew in every
planning: at a quarter of a millisecond each, a tenth of a candidate of 10,000 people. A statement
that stays the same from candidate to candidate is planned with the number instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from search.scenario.compiled.lexer import Token, tokenize

FOLDED_FUNCTIONS = frozenset({"cast", "concat", "md5", "substr", "substring"})
"""Built-in functions of their arguments alone: no row, clock, setting or seed is read."""
_TYPES = frozenset({"bigint", "double", "integer", "varchar"})
_OPERATORS = frozenset("+-*|,")
_CLAUSES = frozenset(
    "select from where on having qualify group order partition limit offset values set using"
    " union intersect except window with".split()
)
_UNNAMED = frozenset({"where", "on", "having", "qualify"})
"""Clauses in which an expression's text names no column."""
_MATCHED = frozenset({"group", "order", "partition"})
"""Clauses whose expressions DuckDB looks for in the others, by their text."""


@dataclass
class _Level:
    """Text between two parentheses: its clause, and the calls of the item that is being read."""

    clause: str = ""
    opened: int = 0
    is_named: bool = False
    spans: list[tuple[int, int]] = field(default_factory=list)


def with_constants(sql: str, connection: Any) -> str:
    """Return a statement with its constant BIGINT and DOUBLE expressions as numbers.

    Of these types a text can say both value and type exactly. An expression that names a column
    of the result stays (``select md5('x')`` is the column ``md5('x')``). So does the whole
    statement where it groups or orders by such an expression, which must be spelled alike, and
    where the project has a macro of the name of a function.

    Args:
        sql: One statement without holes.
        connection: Where it will run; works the expressions out.
    """
    tokens = tokenize(sql)
    spans = _constant_spans(tokens)
    if not spans or _is_shadowed(connection):
        return sql
    texts = [token.text for token in tokens]
    for first, last in spans:
        literal = _literal("".join(texts[first : last + 1]), connection)
        if literal is not None:
            texts[first : last + 1] = [literal] + [""] * (last - first)
    return "".join(texts)


def _is_shadowed(connection: Any) -> bool:
    names = ", ".join(f"'{name}'" for name in sorted(FOLDED_FUNCTIONS))
    query = (
        f"select 1 from duckdb_functions() where not internal and lower(function_name) in ({names})"
    )
    return connection.execute(query).fetchone() is not None


def _literal(expression: str, connection: Any) -> str | None:
    """Return an expression's value as text of its type; None when it has none or is of another."""
    try:
        query = f"select {expression}, typeof({expression})"
        ((value, kind),) = connection.execute(query).fetchall()
    except duckdb.Error:
        return None  # the statement says so itself, if it ever gets there
    if kind == "BIGINT":
        return f"cast({value} as bigint)"
    # With an exponent a number is a DOUBLE; 17 digits are every bit of it.
    return f"{value:.16e}" if kind == "DOUBLE" and math.isfinite(value) else None


def _constant_spans(tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """Return the first and last token of each outermost constant call or sum in parentheses."""
    levels, kept, matched = [_Level()], list[tuple[int, int]](), list[tuple[int, int]]()

    def end_item(level: _Level) -> None:
        if level.clause in _UNNAMED or (level.clause == "select" and level.is_named):
            kept.extend(level.spans)
        elif level.clause in _MATCHED:
            matched.extend(level.spans)
        if level.clause:
            level.spans, level.is_named = [], False

    for index, token in enumerate(tokens):
        word = token.text.lower() if token.kind == "word" else ""
        if token.text == "(":
            levels.append(_Level(opened=_start(tokens, index)))
        elif token.text == ")" and len(levels) > 1:
            closed, outer = levels.pop(), levels[-1]
            end_item(closed)
            outer.spans += closed.spans
            if _is_constant(tokens[closed.opened : index + 1]):
                outer.spans = [span for span in outer.spans if span[0] < closed.opened]
                outer.spans.append((closed.opened, index))
        elif token.text == ",":
            end_item(levels[-1])
        elif word in _CLAUSES:
            end_item(levels[-1])
            levels[-1].clause = word
        elif word == "as":
            levels[-1].is_named = True
    end_item(levels[0])
    return [] if matched else kept


def _start(tokens: Sequence[Token], opening: int) -> int:
    """Return where a call begins: its name, when one stands before the parenthesis."""
    before = opening - 1
    while before >= 0 and not tokens[before].is_significant:
        before -= 1
    return before if before >= 0 and tokens[before].name in FOLDED_FUNCTIONS else opening


def _is_constant(tokens: Sequence[Token]) -> bool:
    """Whether tokens are a call, or an expression in parentheses with one, of literals alone."""
    has_call = False
    for token in tokens:
        word = token.text.lower()
        if word in FOLDED_FUNCTIONS:
            has_call = True
        elif token.kind == "word" and word not in _TYPES and word != "as":
            return False
        elif token.kind in ("quoted", "comment"):
            return False
        elif token.kind == "symbol" and word not in _OPERATORS and word not in "()":
            return False
    return has_call
