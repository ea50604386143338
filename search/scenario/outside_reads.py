"""What SQL of a study would read outside the database it runs in: found in its text.

A session of the study's SQL is closed by DuckDB's own setting. Where a program is replayed, dbt's
statements and the study's share an instance, and dbt's may read files; so what the study's SQL
says for another candidate than the recorded one is looked at before it runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from search.errors import OUTSIDE, ScenarioError
from search.scenario.compiled.lexer import Token, tokenize
from search.scenario.file_names import READER, lists_relations
from search.scenario.session import ACCESS_ADVICE
from search.scenario.writes import plain_text

_INDIRECT = re.compile(r"query|query_table|getenv|which_secret|duckdb_secrets|load_aws_credentials")
"""Functions that run a text, or tell what is none of the database's."""
_STATEMENTS = frozenset("attach copy import load install force execute call".split())
"""Statements that read files, or run what was not looked at."""
_BEFORE_RELATION = frozenset(
    "from join pivot pivot_wider unpivot pivot_longer table using describe desc summarize show into"
    " update exists database".split()
)
_WITH_FROM = ("extract", "trim", "substring", "overlay")
"""Functions that have a FROM among their arguments, behind which no relation stands."""
_FILE = re.compile(
    r"[/\\:*?\[]|\.(csv|tsv|txt|parquet|pq|json|jsonl|ndjson|geojson|db|duckdb|ddb|sqlite|xlsx|arrow"
    r"|arrows|ipc|feather|avro|gz|zst|bz2)$",
    re.IGNORECASE,
)
"""Names that DuckDB may take for a file when there is no such relation."""
_SETTINGS = frozenset(("set", "reset", "pragma", "use"))


def refuse_outside_reads(sql: str) -> None:
    """Refuse SQL that would read anything but its database.

    Raises:
        ScenarioError: Says what it would read.
    """
    what = outside_read(sql)
    if what is not None:
        raise ScenarioError(f"{what} reads outside the database; {ACCESS_ADVICE}", stage=OUTSIDE)


@lru_cache(maxsize=4096)
def outside_read(sql: str) -> str | None:
    """Return what of a text would read outside the database; None when nothing would.

    Example:
        >>> outside_read("select count(*) from read_csv('a.csv')")
        'read_csv'
        >>> outside_read("select v from t, 'a.parquet'"), outside_read('from "a.csv"')
        ("'a.parquet'", '"a.csv"')
        >>> outside_read("select 'a.csv' from t where x = 'from' group by copy")
    """
    tokens = [token for token in tokenize(sql) if token.is_significant]
    is_first, is_listing = True, False
    calls: list[str] = []  # what each open bracket belongs to
    for number, token in enumerate(tokens):
        follows = tokens[number + 1].text if number + 1 < len(tokens) else ""
        name = (plain_text(token.text) or token.text).lower()
        if is_first and name in _STATEMENTS | _SETTINGS:
            return name
        if follows == "(" and (READER.fullmatch(name) or _INDIRECT.fullmatch(name)):
            return name
        is_in_call = calls[-1:] and calls[-1] in _WITH_FROM
        if not is_in_call and _is_relation(tokens, number, is_listing):
            if what := _file_at(tokens, number):
                return what
        if token.text == "(":
            calls.append(tokens[number - 1].text.lower() if number else "")
        elif token.text == ")" and calls:
            calls.pop()
        is_listing = lists_relations(token, is_listing)
        is_first = token.text == ";"
    return None


def _is_relation(tokens: Sequence[Token], number: int, is_listing: bool) -> bool:
    """Whether a relation's name may begin at a token: behind FROM and the like, and brackets."""
    place = number - 1
    while place >= 0 and tokens[place].text == "(":
        place -= 1
    if place < 0:
        return False
    word = tokens[place].text.lower()
    return word in _BEFORE_RELATION or (is_listing and word == ",")


def _file_at(tokens: Sequence[Token], number: int) -> str | None:
    """Return the name that begins at a token if it may be a file's: a.csv is one, unquoted too."""
    if tokens[number].kind == "string":
        return tokens[number].text
    parts = [tokens[number].text]
    while number + 2 < len(tokens) and tokens[number + 1].text == ".":
        number += 2
        parts.append(tokens[number].text)
    name = ".".join(plain_text(part) or part for part in parts)
    return ".".join(parts) if _FILE.search(name) else None
