"""The numbers of an unknown project: in its seeds and in the tables of its models."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb

from search.scenario.node_lineage import NodeLineage
from search.study.values import is_number
from search.system.sql_text import literal, quoted

MAX_SEED_ROWS = 200
"""Seeds above that hold data, and no settings that somebody moves."""
NUMERIC = re.compile(r"(TINY|SMALL|BIG|HUGE)?INT(EGER)?$|FLOAT|DOUBLE|REAL|DECIMAL|NUMERIC")


@dataclass(frozen=True)
class SeedCell:
    """A number in a seed.

    Attributes:
        seed: The seed.
        column: The number's column.
        where: A condition that picks its row.
        value: The number.
    """

    seed: str
    column: str
    where: str
    value: float


@dataclass(frozen=True)
class Mart:
    """A model whose columns could be aimed at.

    Attributes:
        name: The model.
        columns: Its numeric columns, in their order.
        sums: Their sums today.
        rows: Its rows today.
        readers: Models that read it; those that nobody reads are the project's ends.
        vars: Vars that it depends on, through all that it reads.
        seeds: Seeds that it depends on.
    """

    name: str
    columns: tuple[str, ...]
    sums: Mapping[str, float]
    rows: int
    readers: int
    vars: frozenset[str]
    seeds: frozenset[str]


def promise(mart: Mart) -> tuple[Any, ...]:
    """Sort what looks like a result of the project before what looks like a step to one."""
    named = mart.name.startswith(("fct_", "fact_", "mart_", "rpt_", "report_", "metrics"))
    is_step = mart.name.startswith(("stg_", "int_", "base_", "dim_"))
    depends = bool(mart.vars or mart.seeds)
    return (not depends, is_step, mart.readers > 0, not named, mart.rows == 0, mart.name)


def mart_of(connection: Any, node: Any, lineage: NodeLineage) -> Mart | None:
    """Return a model as something to aim at; None without a table or without numbers."""
    if node.config.materialized == "ephemeral" or not node.relation_name:
        return None
    numbers = [name for name, kind in _columns(connection, node.relation_name) if is_numeric(kind)]
    if not numbers:
        return None
    sums = ", ".join(f"sum({plain_or_quoted(name)})::double" for name in numbers)
    rows, *values = connection.execute(
        f"select count(*), {sums} from {node.relation_name}"
    ).fetchone()
    read, seeds = lineage.of(node.unique_id)
    named = {
        name: float(value)
        for name, value in zip(numbers, values, strict=True)
        if value is not None and math.isfinite(value)
    }
    readers = lineage.readers.get(node.unique_id, 0)
    return Mart(node.name, tuple(numbers), named, rows, readers, read, seeds)


def cells_of(connection: Any, seed: Any) -> list[SeedCell]:
    """Return the numbers of a small seed, each with a condition that picks its row."""
    columns = _columns(connection, seed.relation_name)
    numbers = [name for name, kind in columns if is_numeric(kind)]
    (rows,) = connection.execute(f"select count(*) from {seed.relation_name}").fetchone()
    if not numbers or not 0 < rows <= MAX_SEED_ROWS:
        return []
    names = [name for name, _ in columns]
    table = [
        dict(zip(names, row, strict=True))
        for row in connection.execute(f"select * from {seed.relation_name}").fetchall()
    ]
    key = _key(table, [name for name in names if name not in numbers], names)
    if key is None:
        return []
    return [
        SeedCell(seed.name, column, _condition(row, key), float(row[column]))
        for row in table
        for column in numbers
        if column not in key and row[column] is not None
    ]


def _key(
    table: Sequence[Mapping[str, Any]], texts: Sequence[str], names: Sequence[str]
) -> tuple[str, ...] | None:
    """Return the fewest columns that tell rows apart, words before numbers."""
    if len(table) == 1:
        return ()
    orders = [texts, [name for name in names if name not in texts]]
    for candidates in (orders[0], [*orders[0], *orders[1][:1]]):
        for size in range(1, min(len(candidates), 3) + 1):
            for key in itertools.combinations(candidates, size):
                values = {tuple(row[name] for name in key) for row in table}
                if len(values) == len(table) and not any(None in value for value in values):
                    return key
    return None


def _condition(row: Mapping[str, Any], key: Sequence[str]) -> str:
    parts = [
        f"{plain_or_quoted(name)} = {row[name] if is_number(row[name]) else literal(row[name])}"
        for name in key
    ]
    return " and ".join(parts) or "true"


def plain_or_quoted(name: str) -> str:
    """Return a column's name as SQL takes it, in quotes where it must be.

    Example:
        >>> [plain_or_quoted(name) for name in ("pay", "Net Pay", "select")]
        ['pay', '"Net Pay"', '"select"']
    """
    is_plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) is not None and name not in _reserved()
    return name if is_plain else quoted(name)


@cache
def _reserved() -> frozenset[str]:
    """Return the words that DuckDB takes for names in quotes alone."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select keyword_name from duckdb_keywords() where keyword_category != 'unreserved'"
        ).fetchall()
    return frozenset(row[0] for row in rows)


def is_numeric(kind: str) -> bool:
    """Return whether a column of a DuckDB type holds numbers.

    Example:
        >>> is_numeric("DECIMAL(18,2)"), is_numeric("INTEGER"), is_numeric("INTERVAL")
        (True, True, False)
    """
    return NUMERIC.match(kind) is not None and "[" not in kind


def _columns(connection: Any, relation: str) -> list[tuple[str, str]]:
    rows = connection.execute(f"describe select * from {relation}").fetchall()
    return [(row[0], row[1]) for row in rows]
