"""SQL text as tokens: enough to find names and literals, and to put the text together again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["space", "comment", "string", "quoted", "number", "word", "symbol"]

_PATTERNS: tuple[tuple[Kind, str], ...] = (
    ("space", r"[\s\u200b\u2060\ufeff]+"),
    ("comment", r"--[^\r\n]*|/\*.*?\*/"),
    ("string", r"[eE]'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"),
    ("quoted", r'"(?:""|[^"])*"'),
    ("number", r"(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"),
    ("word", r"[^\W\d][\w$]*"),
    ("symbol", r"."),
)
_RESERVED = frozenset(
    "all analyse analyze and any array as asc asymmetric both case cast check collate column"
    " constraint create default deferrable desc describe distinct do else end except false fetch"
    " for foreign from group having in initially intersect into lambda lateral leading limit not"
    " null offset on only or order pivot pivot_longer pivot_wider placing primary qualify"
    " references returning select show some summarize symmetric table then to trailing true union"
    " unique unpivot using variadic when where window with".split()
)
"""DuckDB's reserved words: unquoted they name a relation only behind its schema and a dot."""
_BEFORE_RELATION = frozenset("from join using describe summarize pivot unpivot into table".split())
_BEHIND_FROM = frozenset(
    "where group order having limit select qualify window union intersect except set values when"
    " returning sample tablesample on".split()
)
_TOKEN = re.compile("|".join(f"(?P<{kind}>{text})" for kind, text in _PATTERNS), re.DOTALL)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


@dataclass(frozen=True)
class Token:
    """A piece of SQL text.

    Attributes:
        kind: What it is.
        text: The text, exactly.
    """

    kind: Kind
    text: str

    @property
    def is_significant(self) -> bool:
        """Whether the token is neither space nor comment."""
        return self.kind not in ("space", "comment")

    @property
    def name(self) -> str | None:
        """The identifier that the token spells, lower case; None when it spells none."""
        if self.kind == "word":
            return self.text.lower()
        if self.kind == "quoted":
            return self.text[1:-1].replace('""', '"').lower()
        return None


def tokenize(sql: str) -> list[Token]:
    """Return the tokens of SQL text; joined, they are the text again.

    Example:
        >>> [token.text for token in tokenize("select 'a''b', 0.5--x")]
        ['select', ' ', "'a''b'", ',', ' ', '0.5', '--x']
    """
    tokens = []
    start = 0
    while start < len(sql):
        for match in _TOKEN.finditer(sql, start):
            kind, text = match.lastgroup if match.lastgroup != "tag" else "string", match[0]
            if kind == "comment" and text.startswith("/*") and "/*" in text[2:]:
                text = sql[match.start() : _end_of_comment(sql, match.start())]
            tokens.append(Token(kind, text))  # type: ignore[arg-type]
            start = match.start() + len(text)
            if start != match.end():
                break  # the comment holds others, and goes on behind the first end
    return tokens


def _end_of_comment(sql: str, start: int) -> int:
    """Return where a block comment ends: comments may stand inside comments."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)


def strip_leading_comments(sql: str) -> str:
    """Return the text without comments and space in front: dbt puts one before each statement.

    Example:
        >>> strip_leading_comments("/* {app: dbt} */  select 1 /* keep */")
        'select 1 /* keep */'
    """
    start = 0
    while (match := _TOKEN.match(sql, start)) and match.lastgroup in ("space", "comment"):
        is_block = match[0].startswith("/*")
        start = _end_of_comment(sql, start) if is_block else match.end()
    return sql[start:].rstrip()


def names_in(sql: str) -> frozenset[str]:
    """Return every identifier of the text, lower case, without its qualifiers.

    A superset of the relations that the statement touches: a name may be a column's. Names
    inside strings count when a function could take them for a relation's.

    Example:
        >>> sorted(names_in('select a.x from "S"."My Table" a'))
        ['a', 'my table', 's', 'x']
        >>> sorted(names_in("select 'x' from 'main.t' where a = 'b'"))
        ['a', 'main', 't']
    """
    tokens = tokenize(sql)
    names: set[str] = set()
    is_qualified = False
    for token in tokens:
        name = token.name
        if name is not None and (token.kind == "quoted" or is_qualified or name not in _RESERVED):
            names.add(name)
        if token.is_significant:
            is_qualified = token.text == "."
    texts = _texts_in_from(tokens)
    if names & {"query", "query_table"}:
        texts += [token.text for token in tokens if token.kind == "string"]
    for text in texts:
        names |= {name for inner in tokenize(text.strip("eE$'")) if (name := inner.name)}
    return frozenset(names)


def _texts_in_from(tokens: Sequence[Token]) -> list[str]:
    """Return the strings that stand where a relation does: ``from 't'``, a file or a relation."""
    texts: list[str] = []
    is_from = False
    outer: list[bool] = []
    for token in tokens:
        word = token.text.lower()
        if word == "(":
            outer.append(is_from)
            is_from = False
        elif word == ")":
            is_from = outer.pop() if outer else False
        elif token.kind == "word":
            is_from = word in _BEFORE_RELATION or (is_from and word not in _BEHIND_FROM)
        elif token.kind == "string" and is_from:
            texts.append(token.text)
    return texts
