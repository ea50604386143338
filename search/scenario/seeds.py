"""A seed of the engine's own: set before every statement that may draw, from where it stands.

dbt and the replay run the same statements, but not all of them: what no metric needs is left
out, and what no parameter reaches runs once. So no draw may follow from the ones before it:
each statement gets a seed from the study's seed, its step (with the loop's value), its dbt
node and its place there. The same for every candidate, so that candidates share their chance.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from search.scenario.compiled.lexer import strip_leading_comments
from search.study.values import Scalar

_CHANGES = re.compile(
    r"(?:create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+)?table|insert|delete|update|merge)\b",
    re.IGNORECASE,
)
_READS = re.compile(r"(?:select|with|from|values|table|pivot|unpivot|copy|\()", re.IGNORECASE)
"""Files are written only where the study reads them, so COPY does not count either."""


@dataclass
class DrawPlaces:
    """Names the statements of one evaluation by where they stand.

    Attributes:
        step: Name of the step that runs.
    """

    step: str = ""
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def of(self, statement: str, node: str | None) -> str | None:
        """Return the place of a statement; None when it cannot draw.

        Statements that change nothing count for nothing: dbt's look-ups in the catalog vary.
        """
        text = strip_leading_comments(statement)
        key = (self.step, node or "")
        count = self._counts.get(key, 0)
        if _CHANGES.match(text):
            self._counts[key] = count + 1
        elif not _READS.match(text):
            return None
        return f"{self.step}|{node or ''}|{count}"


class Seeder:
    """Puts seeds before the statements of one evaluation.

    Args:
        seed: The study's seed, or the replication's.
    """

    def __init__(self, seed: Scalar) -> None:
        self._seed = seed
        self._places = DrawPlaces()
        self._chosen: dict[str, int] = {}

    def begin(self, step: str) -> None:
        """Note the step that runs from now on."""
        self._places.step = step

    def chosen(self, values: Sequence[Any], who: str) -> Any:
        """Return one of some values; the next draw in the same step by the same is another.

        Args:
            values: At least one.
            who: What draws.
        """
        place = f"{self._places.step}|{who}"
        count = self._chosen.get(place, 0)
        self._chosen[place] = count + 1
        return random.Random(f"{self._seed}|{place}|{count}").choice(values)

    def seeded(self, sql: str, node: str | None) -> str:
        """Return a text in which each statement that may draw has its seed before it."""
        statements = [sql]
        if ";" in sql:
            try:
                statements = [parsed.query for parsed in duckdb.extract_statements(sql)]
            except duckdb.Error:
                return sql  # running it gives the better error
        parts = []
        for statement in statements:
            place = self._places.of(statement, node)
            if place is not None:
                parts.append(set_seed(self._seed, place) + ";")
            parts.append(statement if statement.rstrip().endswith(";") else statement + ";")
        return "\n".join(parts)


def set_seed(seed: Scalar, place: str) -> str:
    """Return the statement that sets DuckDB's seed for one place.

    Example:
        >>> set_seed(42, "steps[0]|model.a.b|0")
        'select setseed(-0.6629981187803471)'
    """
    digest = hashlib.sha256(f"{seed}|{place}".encode()).digest()
    number = int.from_bytes(digest[:8], "big") >> 11
    return f"select setseed({number / 2**52 - 1!r})"


def metric_place(name: str, loop_value: Any) -> str:
    """Return the place of a metric's query."""
    return f"metric|{name}|{loop_value!r}"
