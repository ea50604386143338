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
from search.scenario.duck_limits import setting_of
from search.system.confinement import landlock_version

WriteKind = Literal["copy", "export", "attach", "install", "secret", "log"]

REFUSAL = "which a study must not do"
"""Stands in every refusal that goes through dbt, which hands on texts alone."""
_ELSEWHERE = "attached in read-only mode"

_SUSPICIOUS = re.compile(
    r"\b(copy|export|attach|install|extensions|secret|enable_logging|enable_profiling"
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
_LOGGING = frozenset({"enable_logging", "enable_profiling"})
_CALL_OF_LOGGING = re.compile("|".join(sorted(_LOGGING)), re.IGNORECASE)
_RUNS_TEXT = frozenset({"query", "json_execute_serialized_sql"})
"""Functions whose argument is a statement."""
_TRUE = ("true", "1", "'true'", "'1'", "on", "'on'", "yes", "'yes'")


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
        if statement.text_at(start) == "(":
            start = statement.closing(start) + 1
    if words[:1] == ["prepare"]:
        start = words.index("as") + 1 if "as" in words else start
    writes = _leading(statement, start)
    # Also as a common table expression: with x as (copy ... to ...) select ...
    for index in range(start + 1, len(words) - 1):
        if words[index] == "copy" and statement.text_at(index - 1) == "(":
            writes += [Write("copy", text) for _ in _copy(statement, index)]
    return writes or ([Write("log", text)] if _calls_log(statement) else [])


def _leading(statement: _Statement, start: int) -> list[Write]:
    words = statement.words[start:]
    first = words[0] if words else ""
    plain = {"copy": _copy, "attach": _attach, "export": _export}.get(first)
    if plain is not None:
        return plain(statement, start)
    if first in ("install", "force") or words[:2] == ["update", "extensions"]:
        return [Write("install", statement.text)]
    if first in ("create", "drop") and "secret" in words[:6] and _is_kept(statement, start):
        return [Write("secret", statement.text)]
    is_log = first in ("set", "pragma") and setting_of(statement.names[start:]) in _PATH_SETTINGS
    return [Write("log", statement.text)] if is_log else []


def _is_kept(statement: _Statement, start: int) -> bool:
    """Whether a secret lies on disk: told to persist, or in a storage that does."""
    words = statement.words[start:]
    options = next((i for i, word in enumerate(statement.texts[start:]) if word == "("), len(words))
    head = words[:options]
    return "persistent" in head or ("in" in head and "memory" not in head)


def _calls_log(statement: _Statement) -> bool:
    """Whether DuckDB would begin to write its log or its profiles to a file.

    Also in a text that a function runs as a statement.
    """
    names = statement.names
    for index, name in enumerate(names):
        if name in _LOGGING and statement.text_at(index + 1) == "(":
            if statement.text_at(index + 2) != ")":
                return True
        if name in _RUNS_TEXT and any(map(_CALL_OF_LOGGING.search, statement.strings)):
            return True
    return False


def _copy(statement: _Statement, start: int) -> list[Write]:
    """Return the write of ``copy ... to``; none of ``copy ... from`` and ``copy from database``."""
    depth = 0
    for index in range(start, len(statement.words)):
        depth += {"(": 1, ")": -1}.get(statement.text_at(index), 0)
        is_from = statement.words[index] == "from" and statement.text_at(index - 1) != "."
        if depth < 0 or (depth == 0 and is_from):
            return []
        if depth == 0 and statement.words[index] == "to":
            return [statement.write_to("copy", (index + 1,))]
    return []


def _export(statement: _Statement, start: int) -> list[Write]:
    """Return the write of ``export database 'x'`` or ``export database d to 'x'``."""
    return [statement.write_to("export", range(start + 1, start + 5))]


def _attach(statement: _Statement, start: int) -> list[Write]:
    named = statement.attached(start)
    if statement.text_at(named) in _MEMORY or statement.attach_options(named).is_read_only:
        return []
    return [statement.write_to("attach", (named,))]


def for_reading(statement: str) -> str:
    """Return an ATTACH with READ_ONLY.

    Example:
        >>> for_reading("attach 'other.db' as read_only (type duckdb, read_only false);")
        "attach 'other.db' as read_only (type duckdb, READ_ONLY)"
    """
    parsed = _Statement(statement)
    options = parsed.attach_options(parsed.attached(0))
    return f"{parsed.before(options.start)} ({', '.join((*options.others, 'READ_ONLY'))})"


@dataclass(frozen=True)
class _Options:
    """The options of an ATTACH.

    Attributes:
        start: Number of the token that opens them, or of the one behind the statement.
        others: Texts of those that say nothing about writing.
        is_read_only: Whether they ask for reading alone.
    """

    start: int
    others: tuple[str, ...]
    is_read_only: bool


class _Statement:
    """A statement's significant tokens, by number."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokenize(text)
        self._places = [i for i, token in enumerate(self._tokens) if token.is_significant]
        self.texts = [self._tokens[i].text for i in self._places]
        self.words = [self._word(self._tokens[i]) for i in self._places]
        self.names = [self._tokens[i].name for i in self._places]

    @property
    def strings(self) -> list[str]:
        """The strings among the tokens."""
        return [token.text for token in self._tokens if token.kind == "string"]

    def closing(self, opening: int) -> int:
        """Return the number of the parenthesis that closes one; that of the last token if none."""
        depth = 0
        for index in range(opening, len(self.texts)):
            depth += {"(": 1, ")": -1}.get(self.texts[index], 0)
            if depth == 0:
                return index
        return len(self.texts) - 1

    def text_at(self, index: int) -> str:
        """Return the text of a significant token; empty behind the last."""
        return self.texts[index] if index < len(self.texts) else ""

    def attached(self, start: int) -> int:
        """Return the number of the token behind ATTACH that begins the path."""
        before = ("database", "or", "replace", "if", "not", "exists")
        named = start + 1
        while named < len(self.words) and self.words[named] in before:
            named += 1
        return named

    def attach_options(self, named: int) -> _Options:
        """Return the options of an ATTACH.

        Args:
            named: Number of the token that begins the path.
        """
        count = len(self.texts)
        start = (self.closing(named) if self.text_at(named) == "(" else named) + 1
        while start < count and self.texts[start] not in ("(", ";"):
            start += 1
        if self.text_at(start) != "(":
            return _Options(start, (), False)
        options: list[list[int]] = [[]]
        for index in range(start + 1, self.closing(start)):
            if self.texts[index] == ",":
                options.append([])
            else:
                options[-1].append(index)
        others, is_read_only = [], False
        for option in filter(None, options):
            name = self.names[option[0]]
            values = [self.texts[index].lower() for index in option[1:]]
            if name == "read_only":
                is_read_only = not values or (len(values) == 1 and values[0] in _TRUE)
            elif name != "read_write":
                others.append(" ".join(self.texts[index] for index in option))
        return _Options(start, tuple(others), is_read_only)

    def before(self, index: int) -> str:
        """Return the text before a significant token, without what stands between both."""
        last = self._places[min(index, len(self._places)) - 1]
        return "".join(token.text for token in self._tokens[: last + 1])

    def write_to(self, kind: WriteKind, indexes: Iterable[int]) -> Write:
        """Return a write to the first plain string at one of the positions."""
        for index in indexes:
            path = plain_text(self.text_at(index))
            if path is not None and self.text_at(index + 1)[:1] == "'":
                break  # DuckDB joins strings that stand on lines of their own
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
