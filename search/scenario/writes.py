"""What SQL would do outside the database it runs in: found in its text, before it runs.

DuckDB's parser says what kind a statement is; the rest is told by words. What only reads
passes: whether it may is decided by whoever opens the connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import duckdb

from search.scenario.compiled.lexer import Token, tokenize
from search.system.confinement import landlock_version

WriteKind = Literal["copy", "export", "attach", "install", "secret", "log"]

REFUSAL = "which a study must not do"
"""Stands in every refusal that goes through dbt, which hands on texts alone."""
_ELSEWHERE = "attached in read-only mode"

_SUSPICIOUS = re.compile(
    r"\b(copy|export|attach|install|extensions|persistent|enable_logging|enable_profiling"
    r"|log_query_path|profiling_output|profile_output|logging_storage|logging_config"
    r"|enable_log\w*|secret_directory|home_directory|extension_director\w+"
    r"|extension_repository_directory)\b",
    re.IGNORECASE,
)
"""Words without which no statement does anything outside."""
_PATH_SETTINGS = frozenset(
    "log_query_path profiling_output profile_output secret_directory home_directory"
    " extension_directory extension_directories extension_repository_directory logging_storage"
    " logging_config".split()
)
_MEMORY = ("':memory:'", "''")


@dataclass(frozen=True)
class Write:
    """Something outside the database that a statement would change.

    Attributes:
        kind: ``copy`` and ``export`` write files, ``attach`` opens another database for
            writing, ``install`` an extension, ``secret`` keeps a secret on disk, ``log`` is a
            setting or a call that lets DuckDB write a file of its own.
        statement: The single statement.
        path: The file or folder as the text names it; None when it is not a plain string.
        position: Index of the path's token in the statement, with ``path``.
    """

    kind: WriteKind
    statement: str
    path: str | None = None
    position: int | None = None

    def text(self) -> str:
        """Return what it would do, in words.

        Example:
            >>> outside_writes("copy t to 'out.csv'")[0].text()
            "COPY ... TO writes the file 'out.csv'"
        """
        file, folder, database = (
            f"{kind} {self.path!r}" if self.path is not None else f"a {kind.split()[1]}"
            for kind in ("the file", "the folder", "the database")
        )
        return {
            "copy": f"COPY ... TO writes {file}",
            "export": f"EXPORT DATABASE writes {folder}",
            "attach": f"ATTACH opens {database} for writing",
            "install": "INSTALL changes the extensions of this machine",
            "secret": "a persistent secret is kept outside the database",
            "log": f"DuckDB would write a file of its own ({_flat(self.statement)})",
        }[self.kind]


def refusal_advice(message: str, attached: Iterable[str] = ()) -> str | None:
    """Return what to add to a message of dbt's that tells of a wall; None when it tells of none.

    Args:
        message: dbt's message.
        attached: Databases that the project attached, as it names them.

    Example:
        >>> refusal_advice("Catalog Error: no such table") is None
        True
    """
    if REFUSAL in message:
        return ""
    if _ELSEWHERE in message:
        named = f" ({', '.join(attached)})" if attached else ""
        return (
            f" ({REFUSAL}: databases beside the scenario's own{named} are attached for reading "
            "alone; leave out what writes there, or let it write to the project's own database)"
        )
    if "Permission denied" in message and landlock_version():
        return f" (maybe a file outside the scenario's own folder is written, {REFUSAL})"
    return None


@lru_cache(maxsize=4096)
def outside_writes(sql: str) -> tuple[Write, ...]:
    """Return what the statements of a text would change outside the database.

    Text that DuckDB cannot parse yields nothing: running it gives the better error.

    Example:
        >>> [one.kind for one in outside_writes("select 1; copy t to 'x'; attach 'y' as y")]
        ['copy', 'attach']
        >>> outside_writes("copy t from 'x'; attach ':memory:' as y; select copy from t")
        ()
    """
    if not _SUSPICIOUS.search(sql):
        return ()
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error:
        return ()
    return tuple(write for statement in statements for write in _writes_of(statement.query))


def _writes_of(text: str) -> list[Write]:
    statement = _Statement(text)
    words = statement.words
    # What is prepared or explained (`explain analyze` runs it) stands behind those words.
    start = 0
    while start < len(words) and words[start] in ("explain", "analyze", "prepare"):
        start += 1
    if words[:1] == ["prepare"]:
        start = words.index("as") + 1 if "as" in words else start
    writes = _leading(statement, start)
    # Also as a common table expression: with x as (copy ... to ...) select ...
    for index in range(start + 1, len(words) - 1):
        if words[index] == "copy" and statement.text_at(index - 1) == "(":
            writes += [Write("copy", text) for _ in _copy(statement, index)]
    return writes


def _leading(statement: _Statement, start: int) -> list[Write]:
    words = statement.words[start:]
    first = (*words, "")[0]
    plain = {"copy": _copy, "attach": _attach, "export": _export}.get(first)
    if plain is not None:
        return plain(statement, start)
    if first in ("install", "force") or words[:2] == ["update", "extensions"]:
        return [Write("install", statement.text)]
    if "persistent" in words[:4] and "secret" in words[:6]:
        return [Write("secret", statement.text)]
    return [Write("log", statement.text)] if _makes_log(statement, words) else []


def _makes_log(statement: _Statement, words: list[str]) -> bool:
    """Whether DuckDB would begin to write its log or its profiles to a file."""
    if words[:1] == ["set"]:
        named = [word for word in words[1:3] if word not in ("global", "session", "local")]
        return bool(named) and named[0] in _PATH_SETTINGS
    calls = {"enable_logging", "enable_profiling", *_PATH_SETTINGS} & set(words)
    return bool(calls) and statement.has_string and words[:1] in (["call"], ["pragma"], ["from"])


def _copy(statement: _Statement, start: int) -> list[Write]:
    """Return the write of ``copy ... to``; none of ``copy ... from`` and ``copy from database``."""
    depth = 0
    for index in range(start, len(statement.words)):
        depth += {"(": 1, ")": -1}.get(statement.text_at(index), 0)
        if depth < 0 or (depth == 0 and statement.words[index] == "from"):
            return []
        if depth == 0 and statement.words[index] == "to":
            return [statement.write_to("copy", (index + 1,))]
    return []


def _export(statement: _Statement, start: int) -> list[Write]:
    """Return the write of ``export database 'x'`` or ``export database d to 'x'``."""
    return [statement.write_to("export", range(start + 1, start + 5))]


def _attach(statement: _Statement, start: int) -> list[Write]:
    words = statement.words
    head = range(start + 1, min(start + 7, len(words)))
    if any(statement.text_at(index) in _MEMORY for index in head):
        return []
    if "read_only" in words:
        value = statement.text_at(words.index("read_only") + 1).lower()
        if value not in ("false", "0", "'false'", "off", "'off'"):
            return []
    before = ("database", "or", "replace", "if", "not", "exists")
    named = next((i for i in head if words[i] not in before), start + 1)
    return [statement.write_to("attach", (named,))]


class _Statement:
    """A statement's significant tokens, by number."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokenize(text)
        self._places = [i for i, token in enumerate(self._tokens) if token.is_significant]
        self.words = [self._word(self._tokens[i]) for i in self._places]

    @property
    def has_string(self) -> bool:
        """Whether some token is a string."""
        return any(token.kind == "string" for token in self._tokens)

    def text_at(self, index: int) -> str:
        """Return the text of a significant token; empty behind the last."""
        return self._tokens[self._places[index]].text if index < len(self._places) else ""

    def write_to(self, kind: WriteKind, indexes: Iterable[int]) -> Write:
        """Return a write to the first plain string at one of the positions."""
        for index in indexes:
            path = plain_text(self.text_at(index))
            if path is not None:
                return Write(kind, self.text, path, self._places[index])
        return Write(kind, self.text)

    @staticmethod
    def _word(token: Token) -> str:
        return token.text.lower() if token.kind == "word" else ""


def plain_text(token: str) -> str | None:
    """Return what a string or a quoted name says, since DuckDB takes both for a path; else None.

    Example:
        >>> plain_text("'it''s.csv'"), plain_text('"out.csv"'), plain_text("getvariable")
        ("it's.csv", 'out.csv', None)
    """
    quote = token[:1]
    is_quoted = quote in ("'", '"') and len(token) > 1
    return token[1:-1].replace(quote * 2, quote) if is_quoted else None


def _flat(statement: str) -> str:
    flat = " ".join(statement.split())
    return flat if len(flat) <= 80 else f"{flat[:77]}..."
