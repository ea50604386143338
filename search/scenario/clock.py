"""What in SQL and templates tells the time, so that numbers hold for one day alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from search.scenario.compiled.lexer import Token, tokenize
from search.scenario.held_clock import HELD_FUNCTIONS

_CALLED = frozenset(
    "now today get_current_timestamp get_current_time transaction_timestamp current_localtime"
    " current_localtimestamp".split()
)
_BARE = frozenset("current_date current_timestamp current_time localtime localtimestamp".split())
_MENTION = re.compile(rf"\b(?:{'|'.join(sorted({*_CALLED, *_BARE, 'age'}))})\b", re.IGNORECASE)
_STARTED = re.compile(r"\brun_started_at\b|\bmodules\.datetime\b[^}]*\b(?:now|today|utcnow)\b")
BATCHES = "the end of the last batch"
"""What of a microbatch model asks for the time."""
_PYTHON = re.compile(
    r"\b(?:datetime|date|Timestamp|time)\.(?:now|utcnow|today|time|time_ns|localtime|gmtime)\b"
)
_STARTED_COLUMN = re.compile(r"'\{\{\s*run_started_at[^}]*\}\}'(?:::\w+)?\s+as\s+(?P<alias>\w+)")


@dataclass(frozen=True)
class ClockRead:
    """A place that asks for the time.

    Attributes:
        what: The function, or Jinja's ``run_started_at``.
        where: The model, or the file of the project.
        column: Name of the column that holds nothing but the time, or None: the number may depend
            on it in any way.
    """

    what: str
    where: str
    column: str | None = None


def clock_reads(sql: str, where: str) -> Iterator[ClockRead]:
    """Yield what in a statement asks for the time.

    Example:
        >>> [(one.what, one.column) for one in clock_reads("select now()::date as d from t", "m")]
        [('now()', 'd')]
        >>> [(one.what, one.column) for one in clock_reads("select 1 where x < current_date", "m")]
        [('current_date', None)]
        >>> list(clock_reads("select t.now, 'now()', current_date as today from t -- now()", "m"))
        [ClockRead(what='current_date', where='m', column='today')]
    """
    if not _MENTION.search(sql):
        return
    tokens = [token for token in tokenize(sql) if token.is_significant]
    texts = [token.name or token.text.lower() for token in tokens]
    for i, (token, text) in enumerate(zip(tokens, texts, strict=True)):
        before, after = texts[i - 1] if i else "", texts[i + 1] if i + 1 < len(texts) else ""
        if token.name is None or before == "as":
            continue
        if text in _CALLED | _BARE and before == "." and after == "(":
            # With its schema it is DuckDB's own: no macro of a session answers in its place.
            yield ClockRead(f"{texts[i - 2]}.{text}()", where, _column(tokens, i - 2, i + 3))
        elif before == ".":
            continue
        elif text in _CALLED and after == "(":
            yield ClockRead(f"{text}()", where, _column(tokens, i, i + 3))
        elif text in _BARE and after != ".":
            yield ClockRead(text, where, _column(tokens, i, i + (3 if after == "(" else 1)))
        elif text == "age" and after == "(" and _counts_from_today(texts[i + 2 :]):
            yield ClockRead("age()", where)


def is_held(what: str) -> bool:
    """Whether time stands still for what asks; Python itself cannot be answered otherwise."""
    return what in ("run_started_at", BATCHES) or what.removesuffix("()") in HELD_FUNCTIONS


def python_reads(code: str, where: str) -> Iterator[ClockRead]:
    """Yield what in a Python model asks for the time.

    Example:
        >>> [one.what for one in python_reads("x = datetime.now().year", "m.py")]
        ['datetime.now() in Python']
    """
    for name in dict.fromkeys(_PYTHON.findall(code)):
        yield ClockRead(f"{name}() in Python", where)


def started_reads(template: str, where: str) -> Iterator[ClockRead]:
    """Yield what in a template of the project asks when dbt started.

    Example:
        >>> list(started_reads("select '{{ run_started_at }}' as started", "m.sql"))
        [ClockRead(what='run_started_at', where='m.sql', column='started')]
    """
    count = len(_STARTED.findall(template))
    columns = [match["alias"].lower() for match in _STARTED_COLUMN.finditer(template)]
    for column in columns:
        yield ClockRead("run_started_at", where, column)
    if count > len(columns):
        yield ClockRead("run_started_at", where)


def that_count(
    reads: Iterable[ClockRead], words: Iterable[tuple[str, frozenset[str]]]
) -> list[ClockRead]:
    """Return the reads that a number may depend on.

    A column that holds the time of loading and that no other statement and no metric names is
    none of them.

    Args:
        reads: What was found.
        words: Each sender of statements with the words of its statements, lower case.
    """
    named: dict[str, set[str]] = {}
    for sender, asked in words:
        for word in asked:
            named.setdefault(word, set()).add(sender)
    return [
        read
        for read in reads
        if read.column is None or named.get(read.column, set()) - {read.where, *_same(read, named)}
    ]


def _same(read: ClockRead, named: dict[str, set[str]]) -> set[str]:
    """Return the senders that a file of the project stands for: the model of its name."""
    stem = read.where.rsplit("/", 1)[-1].removesuffix(".sql")
    senders = named.get(read.column or "", set())
    return {sender for sender in senders if sender.rsplit(".", 1)[-1] == stem}


def _counts_from_today(texts: Sequence[str]) -> bool:
    """Whether a call of ``age`` has one argument: then it counts from today."""
    depth = 0
    for text in texts:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(text, 0)
        if depth < 0:
            return True
        if depth == 0 and text == ",":
            return False
    return False


def _column(tokens: Sequence[Token], start: int, end: int) -> str | None:
    """Return the name of a select item that is the time alone, cast at most; else None."""
    texts = [token.text.lower() for token in tokens]
    if start == 0 or texts[start - 1] not in ("select", ","):
        return None
    while texts[end : end + 1] == ["::"] or texts[end : end + 2] == [":", ":"]:
        end += 2 if texts[end] == "::" else 3
    if texts[end : end + 1] != ["as"] or end + 1 >= len(texts):
        return None
    follows = texts[end + 2] if end + 2 < len(texts) else ""
    return texts[end + 1].strip('"') if follows in (",", "from", ")", "", ";") else None
