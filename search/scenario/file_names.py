"""Which strings of a statement name files, and who sends it: what leading files elsewhere asks."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

from search.scenario.compiled.lexer import Token
from search.scenario.writes import outside_writes

READER = re.compile(r"read_\w+|parquet_\w+|\w+_scan|glob|sniff_csv|st_read\w*|query_table")
"""Functions that read files, by their names."""
MAYBE_READS = re.compile(r"read_|parquet_|_scan|glob|sniff|from|join|attach|import", re.IGNORECASE)
REMOTE = re.compile(r"\w{2,}:")
WRITES_FILES = ("copy", "export")
_MAGIC = re.compile(r"[*?\[]")


def lists_relations(token: Token, is_listing: bool) -> bool:
    """Whether strings are relations here: between FROM and the clause that follows."""
    word = token.text.lower() if token.kind == "word" else ""
    if word in ("from", "join"):
        return True
    ends = ("where", "select", "group", "order", "on", "limit", "values", "set", "having", "using")
    return is_listing and word not in ends


def names_relation(before: Token, is_listing: bool) -> bool:
    """Whether a string behind this token is a relation."""
    word = before.text.lower()
    starts = ("from", "join", "database", "attach", "exists", "summarize", "describe")
    return word in starts or (is_listing and before.text == ",")


def covers(asked: Path, written: Path) -> bool:
    """Whether a path or pattern that is read includes what was written."""
    if asked == written or asked.is_relative_to(written) or written.is_relative_to(asked):
        return True
    is_pattern = bool(_MAGIC.search(str(asked)))
    return is_pattern and (
        fnmatch.fnmatch(str(written), str(asked)) or str(asked).startswith(f"{written}/")
    )


def is_left_out(statement: str) -> bool:
    """Whether a statement counts for nothing until somebody reads what it writes."""
    return any(
        write.kind in (*WRITES_FILES, "log", "install") for write in outside_writes(statement)
    )


def who_is(node: str | None) -> str:
    """Return the name of a node for people: model exported_sales, hook of shop-on-run-end-0."""
    if node is None:
        return "a hook of the project"
    if " " in node:
        return node
    kind, _, name = node.partition(".")
    short = name.rsplit(".", 1)[-1]
    return f"hook {short}" if kind == "operation" else f"{kind} {short}"
