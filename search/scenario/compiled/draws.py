"""Chance in SQL: which statements draw, with what, and whether a seed makes them repeatable."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from search.scenario.compiled.lexer import Token, tokenize
from search.scenario.jinja_chance import WHAT, draws_in_jinja

_STATEFUL = frozenset({"nextval", "currval", "setval"})
"""Functions of sequences, which are kept in the database: the same start, the same numbers."""
_NO_DRAW = frozenset(
    "current_connection_id current_query current_query_id current_transaction_id error setseed"
    " sleep_ms stats vector_type write_log".split()
)
"""Functions that DuckDB calls volatile, and whose result is no random number."""
_UNSEEDABLE = frozenset({"uuidv7"})
"""Draws that follow from the clock as well, so that ``setseed`` does not repeat them."""
_IDS = frozenset({"uuid", "gen_random_uuid", "uuidv4", "uuidv7"})
_JINJA_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
SEED_ADVICE = "set scenario.seed to a whole number, which makes draws repeatable"
_ROWS = frozenset({"row", "rows"})


@dataclass(frozen=True)
class Draw:
    """Something in a statement that draws at random.

    Attributes:
        name: A function such as ``random``, or ``sample``.
        is_seedable: Whether ``setseed`` repeats it.
        is_id: Whether it only makes identifiers.
    """

    name: str
    is_seedable: bool = True
    is_id: bool = False

    @property
    def text(self) -> str:
        """As a person writes it.

        Example:
            >>> Draw("random").text, Draw("sample").text
            ('random()', 'sample')
        """
        return self.name if self.name == "sample" else f"{self.name}()"


@functools.cache
def drawing_functions() -> frozenset[str]:
    """Return the functions that DuckDB calls volatile and that draw, lower case."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select distinct lower(function_name) from duckdb_functions()"
            " where stability = 'VOLATILE'"
        ).fetchall()
    return frozenset(row[0] for row in rows) - _NO_DRAW - _STATEFUL


def draws_of(sql: str) -> tuple[Draw, ...]:
    """Return what draws in a text, each once, in order.

    Example:
        >>> [one.text for one in draws_of("select random(), 'uuid()' from t using sample 5")]
        ['random()', 'sample']
        >>> draws_of("select random, setseed(0.5) from t tablesample reservoir(5) repeatable (1)")
        ()
        >>> draws_of("from t tablesample 10%")[0].is_seedable
        False
    """
    tokens = [token for token in tokenize(sql) if token.is_significant]
    draws: dict[str, Draw] = {}
    for i, token in enumerate(tokens):
        name = token.name
        if name is None:
            continue
        if name in drawing_functions() and i + 1 < len(tokens) and tokens[i + 1].text == "(":
            draws[name] = Draw(name, name not in _UNSEEDABLE, name in _IDS)
        elif _begins_sample(tokens, i):
            draw = _sample(tokens[i + 1 :])
            if draw is not None:
                draws["sample"] = draw
    return tuple(draws.values())


def seeds_itself(sql: str) -> bool:
    """Whether a text calls ``setseed``.

    Example:
        >>> seeds_itself("select setseed(0.5)"), seeds_itself("select 'setseed(1)'")
        (True, False)
    """
    tokens = [token for token in tokenize(sql) if token.is_significant]
    return any(
        token.name == "setseed" and other.text == "("
        for token, other in zip(tokens, tokens[1:], strict=False)
    )


def listed(draws: Iterable[Draw]) -> str:
    """Return draws in words.

    Example:
        >>> listed([Draw("random"), Draw("uuid", is_id=True)])
        'random() and uuid()'
    """
    return " and ".join(dict.fromkeys(draw.text for draw in draws))


def _begins_sample(tokens: Sequence[Token], i: int) -> bool:
    word = tokens[i].text.lower()
    if word == "sample":
        return i > 0 and tokens[i - 1].text.lower() == "using"
    return word == "tablesample"


def _sample(rest: Sequence[Token]) -> Draw | None:
    """Return a sample's draw; None when it is repeatable by its own seed."""
    words = [token.text.lower() for token in rest[:12]]
    if "repeatable" in words:
        return None
    by_share = "%" in words or "percent" in words or "bernoulli" in words or "system" in words
    # A percent sign behind the sample's own end is some other expression's: at worst a warning.
    is_rows = words[:1] == ["reservoir"] or (words[1:2] and words[1] in _ROWS)
    return Draw("sample", is_seedable=bool(is_rows) or not by_share)


def drawing_files(folder: Path, files: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each SQL file of a project that draws at random.

    Args:
        folder: The project's folder.
        files: Names of files, seen from it.
    """
    for name in files:
        if not name.lower().endswith(".sql"):
            continue
        try:
            text = (folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue  # dbt says better what is wrong with it
        plain = _JINJA_COMMENT.sub(" ", text)
        if draws := draws_of(plain):
            yield f"{name} draws with {listed(draws)}"
        if draws_in_jinja(plain):
            yield f"{name} draws with {WHAT}"
