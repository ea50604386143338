"""What one SQL statement does to the database: which relation it makes, changes, moves or reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb

from search.errors import RecordingError
from search.scenario.compiled.lexer import Token, names_in, tokenize

EffectKind = Literal[
    "nothing",  # transactions, comments on relations, statistics
    "read",
    "setting",
    "schema",
    "create_table",
    "create_view",
    "create_macro",
    "modify",
    "rename",
    "drop",
    "write",  # a file
    "sequence",
    "path",  # what unqualified names mean
    "attach",  # another database, for reading
]

_BOOKKEEPING_NAMES = re.compile(
    r"^(information_schema|pg_catalog|duckdb_\w+|sqlite_master|pragma_\w+)$"
)
_QUALIFIED_PARTS = 3


@dataclass(frozen=True)
class RelationName:
    """A relation's name as a statement spells it.

    Attributes:
        parts: Identifiers in lower case, the relation's own last.
        start: Index of its first token.
        stop: Index after its last token.
    """

    parts: tuple[str, ...]
    start: int
    stop: int

    @property
    def name(self) -> str:
        """The relation's own name."""
        return self.parts[-1]


@dataclass(frozen=True)
class StatementEffect:
    """What a statement does.

    Attributes:
        kind: The sort of effect.
        target: The relation that it makes, changes, moves or drops.
        new_name: With ``rename``: the name that it gets.
        names: Every identifier of the text: a superset of what it reads.
        is_temporary: With ``create_table`` and ``create_view``: whether it is temporary.
        is_replacing: With a create: whether an existing one is replaced.
        is_conditional: With a create: whether nothing happens when it exists.
        refusal: Why it cannot be replayed, when a metric needs it; None when it can.
        sets_rules: Whether it gives a table what its rows do not tell: constraints, defaults,
            generated columns, an index.
    """

    kind: EffectKind
    target: RelationName | None = None
    new_name: str | None = None
    names: frozenset[str] = frozenset()
    is_temporary: bool = False
    is_replacing: bool = False
    is_conditional: bool = False
    refusal: str | None = None
    sets_rules: bool = False


def split(sql: str) -> list[str]:
    """Return the single statements of a text, each without its semicolon.

    Raises:
        RecordingError: If DuckDB cannot parse the text.
    """
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise RecordingError(f"DuckDB cannot parse a recorded statement: {error}") from error
    return [statement.query.strip().rstrip(";").rstrip() for statement in statements]


def is_bookkeeping(sql: str) -> bool:
    """Whether a query asks for the catalog, or for columns only, and for no data of the project.

    Example:
        >>> is_bookkeeping("select 1 from system.information_schema.tables")
        True
        >>> is_bookkeeping("select * from (select max(version) from t) as q where false limit 0")
        True
        >>> is_bookkeeping("select max(version) from t")
        False
    """
    words = [token.text.lower() for token in tokenize(sql) if token.is_significant]
    if words[-4:] == ["where", "false", "limit", "0"] and words[:3] == ["select", "*", "from"]:
        return words[3] == "("
    if words[:1] in (["describe"], ["show"]) or _describes(words):
        return True
    return any(_BOOKKEEPING_NAMES.match(name) for name in names_in(sql))


def _describes(words: Sequence[str]) -> bool:
    """Whether a query's one source is ``(describe ...)``."""
    sources = [words[i + 1 : i + 3] for i, word in enumerate(words) if word in ("from", "join")]
    return sources == [["(", "describe"]]


def effect_of(sql: str) -> StatementEffect:
    """Return what one statement does.

    Raises:
        RecordingError: If it does something that cannot be replayed (writes a file,
            attaches a database, calls a procedure ...); the message names it.
    """
    reader = _StatementReader(tokenize(sql))
    kind = _kind_of(sql, reader)
    names = names_in(sql)
    if kind in ("TRANSACTION", "ANALYZE", "VACUUM", "EXPLAIN", "DETACH"):
        return StatementEffect("nothing")
    if kind in ("SELECT", "RELATION"):
        return StatementEffect("read", names=names)
    handler = _HANDLERS.get(kind)
    if handler is None:
        raise RecordingError(f"a {kind} statement cannot be replayed: {shortened(sql)}")
    return handler(kind, reader, names)


def _kind_of(sql: str, reader: _StatementReader) -> str:
    """Return DuckDB's word for a statement's kind.

    A PIVOT whose columns come from the data is parsed into several statements, whatever it stands
    in; they do what the text's first word says.
    """
    kind = duckdb.extract_statements(sql)[0].type.name
    if kind != "MULTI":
        return kind
    word = next(filter(None, map(reader.at, range(reader.count))), "")
    return _KIND_OF_WORD.get(word, "SELECT" if word in _QUERY_WORDS else kind)


def _set(kind: str, reader: _StatementReader, names: frozenset[str]) -> StatementEffect:
    if reader.at(0) == "use" or names & {"schema", "search_path"}:
        return _path(reader)
    if reader.at(1) == "variable":
        raise RecordingError("SET VARIABLE keeps a value outside the database")
    return StatementEffect("setting", names=names)


def _path(reader: _StatementReader) -> StatementEffect:
    """Return the effect of USE and SET SCHEMA; whether it matters is judged with all statements."""
    if reader.at(0) == "use":
        return StatementEffect("path", target=reader.relation(1))
    text = reader.string()
    if text is None or "," in text:
        raise RecordingError("what unqualified names mean must not change (SET search_path)")
    return StatementEffect("path", target=RelationName(tuple(text.lower().split(".")), 0, 0))


def _attach(kind: str, reader: _StatementReader, names: frozenset[str]) -> StatementEffect:
    if "read_only" not in names:
        raise RecordingError("ATTACH for writing cannot be replayed")
    return StatementEffect("attach", names=names)


def _copy(kind: str, reader: _StatementReader, names: frozenset[str]) -> StatementEffect:
    if "from" not in reader.words_until("from"):
        return StatementEffect("write", names=names, refusal="COPY ... TO writes a file")
    return StatementEffect("modify", target=reader.relation(1), names=names)


def _create(kind: str, reader: _StatementReader, names: frozenset[str]) -> StatementEffect:
    position = 1
    is_replacing = reader.at(position) == "or"
    position += 2 if is_replacing else 0
    is_temporary = reader.at(position) in ("temp", "temporary")
    position += reader.at(position) in ("temp", "temporary", "persistent", "unique", "recursive")
    what = reader.at(position)
    position += 1
    is_conditional = reader.at(position) == "if"
    position += 3 if is_conditional else 0
    if what == "schema":
        return StatementEffect("schema", names=names)
    if what == "index":
        after = reader.position_after("on")
        return StatementEffect(
            "modify", target=reader.relation(after), names=names, sets_rules=True
        )
    kinds: dict[str | None, EffectKind] = {
        "table": "create_table",
        "view": "create_view",
        "macro": "create_macro",
        "function": "create_macro",
        "type": "create_macro",
    }
    if what == "sequence":
        return StatementEffect(
            "sequence", names=names, refusal="CREATE SEQUENCE cannot be replayed"
        )
    if what not in kinds:
        raise RecordingError(f"CREATE {(what or '?').upper()} cannot be replayed")
    return StatementEffect(
        kinds[what],
        target=reader.relation(position),
        names=names,
        is_temporary=is_temporary,
        is_replacing=is_replacing,
        is_conditional=is_conditional,
        sets_rules=what == "table" and reader.has_rules() and not reader.is_query_after_as(),
    )


def _change(kind: str, reader: _StatementReader, names: frozenset[str]) -> StatementEffect:
    if reader.at(0) == "truncate":
        position = 2 if reader.at(1) == "table" else 1
    else:
        word = {"INSERT": "into", "DELETE": "from", "UPDATE": "update", "MERGE_INTO": "into"}[kind]
        position = reader.position_after(word, at_depth=0, following={"DELETE": "delete"}.get(kind))
    return StatementEffect("modify", target=reader.relation(position), names=names)


def _alter(kind: str, reader: _StatementReader, names: frozenset[str]) -> StatementEffect:
    if reader.at(0) == "comment":
        return StatementEffect("nothing")
    what = reader.at(1)
    position = 2
    if reader.at(position) == "if":
        position += 2
    if what not in ("table", "view"):
        raise RecordingError(f"ALTER {(what or '?').upper()} cannot be replayed")
    target = reader.relation(position)
    rest = reader.words_from(target.stop)
    if rest[:2] == ["rename", "to"]:
        return StatementEffect("rename", target=target, new_name=rest[2], names=names)
    return StatementEffect("modify", target=target, names=names, sets_rules=reader.has_rules())


def _drop(kind: str, reader: _StatementReader, names: frozenset[str]) -> StatementEffect:
    position = 2
    if reader.at(1) == "schema":
        raise RecordingError("DROP SCHEMA cannot be replayed")
    if reader.at(position) == "if":
        position += 2
    if reader.at(1) not in ("table", "view"):
        return StatementEffect("nothing")
    return StatementEffect("drop", target=reader.relation(position))


def _export(kind: str, reader: _StatementReader, names: frozenset[str]) -> StatementEffect:
    return StatementEffect("write", refusal="EXPORT DATABASE writes files")


_HANDLERS: Mapping[str, Callable[[str, _StatementReader, frozenset[str]], StatementEffect]] = {
    "SET": _set,
    "VARIABLE_SET": _set,
    "PRAGMA": _set,
    "CREATE": _create,
    "CREATE_FUNC": _create,
    "INSERT": _change,
    "DELETE": _change,
    "UPDATE": _change,
    "MERGE_INTO": _change,
    "COPY": _copy,
    "EXPORT": _export,
    "ATTACH": _attach,
    "ALTER": _alter,
    "DROP": _drop,
}


_KIND_OF_WORD = {word: word.upper() for word in ("create", "insert", "update", "delete", "copy")}
_KIND_OF_WORD["merge"] = "MERGE_INTO"
_RULES = frozenset(
    "check primary unique not default references foreign generated constraint collate".split()
)
_QUERY_WORDS = frozenset(("select", "from", "pivot", "pivot_wider", "with"))


def shortened(sql: str) -> str:
    """Return a statement's beginning on one line, for a message."""
    flat = " ".join(sql.split())
    return flat if len(flat) <= 120 else f"{flat[:117]}..."


class _StatementReader:
    """Looks at the significant tokens of a statement, by position."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._indexed = [(i, token) for i, token in enumerate(tokens) if token.is_significant]

    @property
    def count(self) -> int:
        """How many significant tokens there are."""
        return len(self._indexed)

    def at(self, position: int) -> str | None:
        """Return the word at a position, lower case; None when it is no word."""
        if position >= len(self._indexed):
            return None
        token = self._indexed[position][1]
        return token.text.lower() if token.kind == "word" else None

    def string(self) -> str | None:
        """Return what the only string of the statement says; None when there is none or several."""
        texts = [token.text[1:-1] for _, token in self._indexed if token.kind == "string"]
        return texts[0] if len(texts) == 1 else None

    def position_after(
        self, word: str, *, at_depth: int | None = None, following: str | None = None
    ) -> int:
        """Return the position after the first such word (outside parentheses when asked)."""
        depth = 0
        previous: str | None = None
        for position, (_, token) in enumerate(self._indexed):
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            text = token.text.lower() if token.kind == "word" else None
            if text == word and (at_depth is None or depth == at_depth):
                if following is None or previous == following:
                    return position + 1
            previous = text
        raise RecordingError(f"a statement lacks the word {word.upper()}")

    def words_until(self, word: str) -> list[str]:
        """Return the words up to and with the first such word; all when there is none."""
        words = []
        for _, token in self._indexed:
            if token.kind == "word":
                words.append(token.text.lower())
                if words[-1] == word:
                    break
        return words

    def has_rules(self) -> bool:
        """Whether a word stands here that begins a rule of a table or of a column."""
        return any(self.at(position) in _RULES for position in range(self.count))

    def is_query_after_as(self) -> bool:
        """Whether AS stands outside of all parentheses: the table takes a query's columns."""
        try:
            return self.position_after("as", at_depth=0) > 0
        except RecordingError:
            return False

    def words_from(self, index: int) -> list[str]:
        """Return the identifiers from a token index on."""
        return [name for i, token in self._indexed if i >= index and (name := token.name)]

    def relation(self, position: int) -> RelationName:
        """Return the relation that is named at a position.

        Raises:
            RecordingError: If there is no name.
        """
        parts: list[str] = []
        start = stop = -1
        while position < len(self._indexed) and len(parts) < _QUALIFIED_PARTS:
            index, token = self._indexed[position]
            name = token.name
            if name is None:
                break
            start = index if start < 0 else start
            stop = index + 1
            parts.append(name)
            following = self._indexed[position + 1][1].text if self._has(position + 1) else ""
            if following != ".":
                break
            position += 2
        if not parts:
            raise RecordingError("a statement names no relation where one must stand")
        return RelationName(tuple(parts), start, stop)

    def _has(self, position: int) -> bool:
        return position < len(self._indexed)
