"""The flow of data through recorded statements: relations, versions, who makes and reads them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from search.scenario.compiled.draws import Draw, draws_of
from search.scenario.compiled.lifting import Template
from search.scenario.compiled.recording import RecordedStatement

Key = tuple[str, str]
"""Schema and name of a relation, lower case; temporary ones are in ``temp``."""

VersionKind = Literal["table", "view", "macro"]

MAIN_SCHEMA = "main"


TEMP_SCHEMA = "temp"


MACRO_SCHEMA = "macro()"
"""Stands for the schema of every macro: macros and relations may have the same names."""


@dataclass(frozen=True)
class BaselineRelation:
    """A relation that the baseline holds.

    Attributes:
        schema: Its schema, as written.
        name: Its name, as written.
        kind: ``table`` or ``view``.
        sql: A view's CREATE VIEW statement; a table's CREATE TABLE when it has
            constraints, defaults or generated columns.
    """

    schema: str
    name: str
    kind: VersionKind
    sql: str | None = None

    @property
    def key(self) -> Key:
        """Its key."""
        return self.schema.lower(), self.name.lower()


@dataclass(frozen=True)
class Version:
    """One state of a relation.

    Attributes:
        id: Its number.
        kind: What it is.
        producer: Index of the operation that made it; None when the baseline holds it.
        base: For a changed table: the version before the change.
        relation: The baseline's relation, when the baseline holds it.
        names: For a view or macro: the identifiers of its definition.
    """

    id: int
    kind: VersionKind
    producer: int | None = None
    base: int | None = None
    relation: BaselineRelation | None = None
    names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Operation:
    """A statement with what it reads and makes.

    Attributes:
        index: Its place.
        statement: What was recorded.
        template: Its text with holes.
        reads: Versions that it reads, through views as well.
        made: The version that it makes.
        moved: With a rename: the version that gets another name.
        key: Where the made or moved version stands afterwards.
        old_key: With a rename: where it stood before.
        reads_at: Key to version of every relation that its text may mean.
    """

    index: int
    statement: RecordedStatement
    template: Template
    reads: frozenset[int] = frozenset()
    made: int | None = None
    moved: int | None = None
    key: Key | None = None
    old_key: Key | None = None
    reads_at: Mapping[Key, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """A point at which metrics are read.

    Attributes:
        position: Index of the first operation that runs after it.
        marker: Step index and loop value; None for the end.
        reads: Versions that the metrics there read.
        reads_at: Key to version of every relation that their SQL may mean.
    """

    position: int
    marker: tuple[int, object] | None
    reads: frozenset[int]
    reads_at: Mapping[Key, int]


@dataclass(frozen=True)
class Flow:
    """The whole scenario as operations on versions."""

    operations: tuple[Operation, ...]
    versions: tuple[Version, ...]
    readings: tuple[Reading, ...]

    def tests(self, tainted: Collection[int]) -> frozenset[int]:
        """Return the indexes of the data tests whose outcome a parameter may change.

        Args:
            tainted: Versions that a parameter reaches.
        """
        return frozenset(
            operation.index
            for operation in self.operations
            if operation.statement.is_test
            and (operation.template.parameters or operation.reads & frozenset(tainted))
        )

    def needed(self, tests: Collection[int] = ()) -> frozenset[int]:
        """Return the indexes of the operations that the metrics, and some data tests, need.

        A rename is needed when the version that it moves is.
        """
        wanted: set[int] = set().union(*(reading.reads for reading in self.readings))
        kept: set[int] = set()
        for operation in reversed(self.operations):
            if operation.index in tests:
                kept.add(operation.index)
                wanted |= operation.reads
            elif operation.statement.effect.kind in ("setting", "schema"):
                kept.add(operation.index)
            elif operation.moved is not None:
                if operation.moved in wanted:
                    kept.add(operation.index)
            elif operation.made is not None and operation.made in wanted:
                kept.add(operation.index)
                wanted |= operation.reads
        return frozenset(kept)

    @cached_property
    def drawing(self) -> Mapping[int, tuple[Draw, ...]]:
        """Operations that draw at random, themselves or through a view or macro: what draws."""
        texts = {
            version.id: draws_of(version.relation.sql or "")
            for version in self.versions
            if version.relation is not None and version.kind == "view"
        }
        own = {
            operation.index: draws_of("".join(operation.template.pieces))
            for operation in self.operations
        }
        for operation in self.operations:
            if operation.made is not None and self.versions[operation.made].kind != "table":
                texts[operation.made] = own[operation.index]
        by_operation = {}
        for operation in self.operations:
            through = (texts.get(version, ()) for version in sorted(operation.reads))
            draws = tuple(dict.fromkeys(itertools.chain(own[operation.index], *through)))
            if draws:
                by_operation[operation.index] = draws
        return by_operation

    def tainted(self, bound: Iterable[Key] = (), *, with_draws: bool = False) -> frozenset[int]:
        """Return the versions that a parameter reaches.

        Args:
            bound: Baseline tables whose cells parameters are written to.
            with_draws: Whether what draws counts, because seeds differ between evaluations.
        """
        drawing = self.drawing if with_draws else {}
        reached = {
            version.id
            for version in self.versions
            if version.relation is not None and version.relation.key in set(bound)
        }
        for operation in self.operations:
            if operation.made is not None and (
                operation.template.parameters
                or operation.reads & reached
                or operation.index in drawing
            ):
                reached.add(operation.made)
        return frozenset(reached)
