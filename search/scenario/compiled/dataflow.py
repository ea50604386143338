"""Which statement depends on which: versions of relations, as statements make and change them.

Every state that a relation goes through is a version of its own. A statement reads versions
and makes at most one. Renames move a version from name to name. From this follow the slice
(what the metrics need, backward) and the taint (what a parameter reaches, forward).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from search.errors import RecordingError
from search.scenario.compiled.flow import (
    MACRO_SCHEMA,
    MAIN_SCHEMA,
    TEMP_SCHEMA,
    BaselineRelation,
    Flow,
    Key,
    Operation,
    Reading,
    Version,
    VersionKind,
)
from search.scenario.compiled.lexer import names_in
from search.scenario.compiled.lifting import Template
from search.scenario.compiled.recording import RecordedStatement
from search.scenario.compiled.statements import StatementEffect


def analyse(
    lifted: Sequence[tuple[RecordedStatement, Template]],
    baseline: Sequence[BaselineRelation],
    metrics_at: Mapping[tuple[int, object] | None, Sequence[str]],
    *,
    default_schema: str = MAIN_SCHEMA,
) -> Flow:
    """Return the data flow of recorded statements.

    Args:
        lifted: Statements with their templates, in order, with the marks of readings.
        baseline: What the baseline holds.
        metrics_at: Marker (None for the end) to the SQL of the metrics read there.
        default_schema: Schema of unqualified names in the study author's own SQL; in dbt's
            it is ``main``.

    Raises:
        RecordingError: If a statement changes what is not in the database.
    """
    return _Analysis(baseline, metrics_at, default_schema).run(lifted)


class _Analysis:
    """Walks through the statements with the catalog as it is at each of them."""

    def __init__(
        self,
        baseline: Sequence[BaselineRelation],
        metrics_at: Mapping[tuple[int, object] | None, Sequence[str]],
        default_schema: str,
    ) -> None:
        self._metrics_at = metrics_at
        self._default_schema = default_schema.lower()
        self._versions: list[Version] = []
        self._live: dict[Key, int] = {}
        self._by_name: dict[str, set[Key]] = {}
        for relation in baseline:
            names = names_in(relation.sql) if relation.kind == "view" and relation.sql else None
            version = self._new(kind=relation.kind, relation=relation, names=names or frozenset())
            self._place(relation.key, version)

    def run(self, lifted: Sequence[tuple[RecordedStatement, Template]]) -> Flow:
        operations: list[Operation] = []
        readings: list[Reading] = []
        step = None
        for statement, template in lifted:
            if statement.step != step or statement.marker is not None:
                step = statement.step
                self._forget_temporary()
            if statement.marker is not None:
                readings.append(self._reading(len(operations), statement.marker))
                continue
            operation = self._operation(Operation(len(operations), statement, template))
            operations.append(operation)
        self._forget_temporary()
        readings.append(self._reading(len(operations), None))
        return Flow(tuple(operations), tuple(self._versions), tuple(readings))

    def _forget_temporary(self) -> None:
        """Each step, and each reading of metrics, has a connection of its own."""
        for key in [key for key in self._live if key[0] == TEMP_SCHEMA]:
            self._remove(key)

    def _reading(self, position: int, marker: tuple[int, object] | None) -> Reading:
        names = frozenset().union(*(names_in(sql) for sql in self._metrics_at.get(marker, ())))
        meant = self._with_views(self._meant(names))
        return Reading(position, marker, frozenset(meant.values()), meant)

    def _operation(self, operation: Operation) -> Operation:
        effect = operation.statement.effect
        handlers = {
            "create_table": self._create,
            "create_view": self._create,
            "create_macro": self._create,
            "modify": self._modify,
            "rename": self._rename,
            "drop": self._drop,
            "read": self._read,
        }
        handler = handlers.get(effect.kind)
        return handler(operation, effect) if handler else operation

    def _create(self, operation: Operation, effect: StatementEffect) -> Operation:
        key = self._key_of_new(operation)
        if effect.is_conditional and key in self._live:
            return operation
        target_name = key[1]
        meant = {
            other: version
            for other, version in self._meant(effect.names).items()
            # Its own name stands in the head; the text may still read the old relation.
            if other != key or self._mentions_twice(operation, target_name)
        }
        kinds: dict[str, VersionKind] = {
            "create_table": "table",
            "create_view": "view",
            "create_macro": "macro",
        }
        kind = kinds[effect.kind]
        version = self._new(
            kind=kind,
            producer=operation.index,
            names=effect.names - {target_name} if kind != "table" else frozenset(),
        )
        meant = self._with_views(meant)
        self._place(key, version)
        reads = frozenset(meant.values())
        return replace(operation, reads=reads, made=version, key=key, reads_at=meant)

    def _modify(self, operation: Operation, effect: StatementEffect) -> Operation:
        key = self._key_of_existing(operation)
        base = self._live.get(key) if key else None
        if key is None or base is None:
            raise _unknown(operation)
        meant = self._with_views(self._meant(effect.names) | {key: base})
        reads = frozenset(meant.values())
        version = self._new(kind="table", producer=operation.index, base=base)
        self._place(key, version)
        return replace(operation, reads=reads, made=version, key=key, reads_at=meant)

    def _rename(self, operation: Operation, effect: StatementEffect) -> Operation:
        old_key = self._key_of_existing(operation)
        if old_key is None or effect.new_name is None:
            raise _unknown(operation)
        version = self._remove(old_key)
        key = (old_key[0], effect.new_name.lower())
        self._place(key, version)
        return replace(operation, moved=version, key=key, old_key=old_key)

    def _drop(self, operation: Operation, effect: StatementEffect) -> Operation:
        key = self._key_of_existing(operation)
        if key is not None:
            self._remove(key)
        return operation

    def _read(self, operation: Operation, effect: StatementEffect) -> Operation:
        meant = self._with_views(self._meant(effect.names))
        return replace(operation, reads=frozenset(meant.values()), reads_at=meant)

    # --- names ----------------------------------------------------------------

    def _schema_of(self, operation: Operation) -> str:
        """Return the schema of unqualified names in a statement."""
        return MAIN_SCHEMA if operation.statement.node else self._default_schema

    def _key_of_new(self, operation: Operation) -> Key:
        effect = operation.statement.effect
        assert effect.target is not None
        if effect.kind == "create_macro":
            return (MACRO_SCHEMA, effect.target.name)
        if effect.is_temporary:
            return (TEMP_SCHEMA, effect.target.name)
        parts = effect.target.parts
        return (parts[-2] if len(parts) > 1 else self._schema_of(operation), parts[-1])

    def _key_of_existing(self, operation: Operation) -> Key | None:
        target = operation.statement.effect.target
        assert target is not None
        parts = target.parts
        if len(parts) > 1:
            key = (parts[-2], parts[-1])
            return key if key in self._live else None
        for schema in (TEMP_SCHEMA, self._schema_of(operation), MAIN_SCHEMA):
            if (schema, parts[0]) in self._live:
                return (schema, parts[0])
        return None

    def _meant(self, names: frozenset[str], schema: str = MAIN_SCHEMA) -> dict[Key, int]:
        """Return every live relation that an identifier of a text may mean.

        Args:
            names: The text's identifiers.
            schema: Schema of the view or macro that the text defines: its neighbours need
                no qualifier.
        """
        open_schemas = {MAIN_SCHEMA, TEMP_SCHEMA, MACRO_SCHEMA, self._default_schema, schema}
        keys = set().union(*(self._by_name.get(name, set()) for name in names))
        return {
            key: self._live[key]
            for key in sorted(keys)
            if key[0] in open_schemas or key[0] in names
        }

    def _mentions_twice(self, operation: Operation, name: str) -> bool:
        text = "".join(operation.template.pieces).lower()
        return text.count(name) > 1

    def _with_views(self, meant: Mapping[Key, int]) -> dict[Key, int]:
        """Return the relations with all that views and macros among them read now."""
        versions: dict[Key, int] = {}
        waiting = list(meant.items())
        while waiting:
            key, version = waiting.pop()
            if key in versions:
                continue
            versions[key] = version
            if self._versions[version].kind != "table":
                waiting += self._meant(self._versions[version].names, key[0]).items()
        return dict(sorted(versions.items()))

    # --- the catalog ------------------------------------------------------------

    def _new(
        self,
        *,
        kind: VersionKind,
        producer: int | None = None,
        base: int | None = None,
        relation: BaselineRelation | None = None,
        names: frozenset[str] = frozenset(),
    ) -> int:
        version = Version(len(self._versions), kind, producer, base, relation, names)
        self._versions.append(version)
        return version.id

    def _place(self, key: Key, version: int) -> None:
        self._live[key] = version
        self._by_name.setdefault(key[1], set()).add(key)

    def _remove(self, key: Key) -> int:
        self._by_name[key[1]].discard(key)
        return self._live.pop(key)


def _unknown(operation: Operation) -> RecordingError:
    statement = operation.statement
    target = statement.effect.target
    name = ".".join(target.parts) if target else "?"
    place = statement.node or statement.step
    return RecordingError(
        f"{place} changes {name}, which no SQL of the project made (does a Python model?)"
    )
