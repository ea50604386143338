"""From the data flow to actions: which SQL to run, where relations come from, what to drop."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from search.scenario.compiled.dataflow import (
    TEMP_SCHEMA,
    Flow,
    Key,
    Operation,
    Reading,
    Version,
)
from search.scenario.compiled.lexer import tokenize
from search.scenario.compiled.lifting import Template

ActionKind = Literal["run", "bind", "own", "drop", "rename", "export", "read"]
Placement = Literal["physical", "attached"]

BASELINE = "__baseline"
HOISTED = "__hoisted"


@dataclass(frozen=True)
class Action:
    """One thing to do in a workspace.

    Attributes:
        kind: ``run`` a statement; ``bind`` a name to an attached relation by a view;
            ``own`` a copy of an attached relation; ``drop``; ``rename``; ``export`` a
            version to the hoisted database; ``read`` metrics.
        key: The relation that it is about.
        template: With ``run``: the SQL.
        source: With ``bind`` and ``own``: SQL name of the attached relation.
        definition: With ``bind``: a view's own CREATE VIEW statement; with ``own``: the
            CREATE TABLE statement of a table that has constraints.
        version: With ``export``: the version.
        is_view: With ``drop``: whether it is a view.
        new_name: With ``rename``: the new name.
        operation: Index of the recorded operation that it comes from.
        marker: With ``read``: which metrics.
    """

    kind: ActionKind
    key: Key | None = None
    template: Template | None = None
    source: str | None = None
    definition: str | None = None
    version: int | None = None
    is_view: bool = False
    new_name: str | None = None
    operation: int | None = None
    marker: tuple[int, object] | None = None


@dataclass(frozen=True)
class Split:
    """Which operations run when.

    Attributes:
        hoisted: Operations that run once.
        replayed: Operations that run for every candidate.
        exported: Hoisted versions that replayed operations or metrics read.
        tainted: Versions that a parameter reaches.
    """

    hoisted: frozenset[int]
    replayed: frozenset[int]
    exported: frozenset[int]
    tainted: frozenset[int]


def split_flow(flow: Flow, bound: Collection[Key]) -> Split:
    """Return which needed operations run once and which for every candidate.

    Args:
        flow: The data flow.
        bound: Baseline tables whose cells parameters are written to.
    """
    needed = flow.needed()
    tainted = flow.tainted(bound)
    hoisted, replayed = set(), set()
    for operation in flow.operations:
        if operation.index not in needed:
            continue
        version = operation.made if operation.made is not None else operation.moved
        if version is None:  # settings and schemas: before everything, and always
            hoisted.add(operation.index)
            replayed.add(operation.index)
        elif version in tainted:
            replayed.add(operation.index)
        else:
            hoisted.add(operation.index)
            if flow.versions[version].kind != "table":
                replayed.add(operation.index)  # only text: made anew where it is needed
    read = set().union(
        *(flow.operations[index].reads for index in replayed),
        *(reading.reads for reading in flow.readings),
    )
    exported = {
        version
        for version in read - tainted
        if flow.versions[version].producer is not None and flow.versions[version].kind == "table"
    }
    return Split(frozenset(hoisted), frozenset(replayed), frozenset(exported), tainted)


def hoist_actions(flow: Flow, split: Split) -> list[Action]:
    """Return what to do once, on a copy of the baseline, to make the hoisted versions."""
    emitter = _Emitter(flow, split.hoisted, {}, is_attached=False, kept=split.exported)
    for operation in flow.operations:
        if operation.index in split.hoisted:
            emitter.operate(operation)
            if operation.made in split.exported:
                key = emitter.key_of(operation.made)
                emitter.actions.append(Action("export", key=key, version=operation.made))
    return emitter.actions


def replay_actions(flow: Flow, split: Split, *, is_attached: bool) -> list[Action]:
    """Return what to do for every candidate.

    Args:
        flow: The data flow.
        split: Which operations run when.
        is_attached: Whether the baseline is attached beside an empty workspace (overlay),
            and not the workspace itself (file copy).
    """
    owned = {
        version.relation.key: version
        for version in flow.versions
        if version.relation is not None and version.id in split.tainted
    }
    sources = {version: f"{HOISTED}.main.{hoisted_name(version)}" for version in split.exported}
    emitter = _Emitter(flow, split.replayed, sources, is_attached=is_attached)
    for key, version in owned.items() if is_attached else ():
        emitter.stand(key, version, is_view=False)  # copied before parameters are written
    waiting = list(flow.readings)
    for operation in flow.operations:
        while waiting and waiting[0].position <= operation.index:
            emitter.read(waiting.pop(0))
        if operation.index in split.replayed:
            emitter.operate(operation)
    for reading in waiting:
        emitter.read(reading)
    return emitter.actions


def hoisted_name(version: int) -> str:
    """Return the name of a version's table in the hoisted database."""
    return f"v{version}"


def sql_name(key: Key, catalog: str | None = None) -> str:
    """Return a relation's quoted SQL name.

    Example:
        >>> sql_name(("main", 'odd "name'), "sim")
        '"sim"."main"."odd ""name"'
    """
    schema, name = key
    parts = [schema, name] if catalog is None or schema == TEMP_SCHEMA else [catalog, schema, name]
    return ".".join(map(quoted, parts))


def quoted(identifier: str) -> str:
    """Return an identifier as it must stand in SQL.

    Example:
        >>> quoted('odd "name')
        '"odd ""name"'
    """
    return '"' + identifier.replace('"', '""') + '"'


class _Emitter:
    """Keeps which version stands under which name in the workspace, and emits what it takes."""

    def __init__(
        self,
        flow: Flow,
        chosen: Collection[int],
        sources: Mapping[int, str],
        *,
        is_attached: bool,
        kept: Collection[int] = (),
    ) -> None:
        self.actions: list[Action] = []
        self._flow = flow
        self._chosen = chosen
        self._sources = sources
        self._kept = kept
        self._standing: dict[Key, int] = {}
        self._views: set[Key] = set()
        self._last_use, self._first_key = self._uses()
        if not is_attached:
            for version in flow.versions:
                if version.relation is not None:
                    self.stand(version.relation.key, version, is_view=version.kind == "view")

    def key_of(self, version: int) -> Key:
        """Return where a version stands."""
        return next(key for key, standing in self._standing.items() if standing == version)

    def operate(self, operation: Operation) -> None:
        """Emit one recorded operation, and before it what it needs to find."""
        if operation.moved is not None:
            return  # names are put right where a version is next used
        self._provide(operation.reads_at, operation)
        if operation.made is None or operation.key is None:
            self.actions.append(
                Action("run", template=operation.template, operation=operation.index)
            )
            return
        version = self._flow.versions[operation.made]
        if version.base is not None:
            self._change(operation, version)
        else:
            self._create(operation, version)
        self._drop_unused(operation.index)

    def read(self, reading: Reading) -> None:
        """Emit the reading of metrics."""
        self._provide(reading.reads_at, None)
        self.actions.append(Action("read", marker=reading.marker))

    # --- making and changing ----------------------------------------------------

    def _create(self, operation: Operation, version: Version) -> None:
        assert operation.key is not None
        key, template = operation.key, operation.template
        wanted = self._first_key.get(version.id, key)
        occupant = self._standing.get(wanted)
        if wanted != key and occupant not in operation.reads:
            renamed = _under_name(operation, wanted)
            if renamed is not None:
                key, template = wanted, renamed
        self._clear(key)
        self.actions.append(Action("run", key=key, template=template, operation=operation.index))
        self.stand(key, version, is_view=version.kind == "view")

    def _change(self, operation: Operation, version: Version) -> None:
        assert operation.key is not None and version.base is not None
        if operation.key in self._views:
            self._own(operation.key, version.base)
        self.actions.append(
            Action("run", key=operation.key, template=operation.template, operation=operation.index)
        )
        self.stand(operation.key, version, is_view=False)

    def _own(self, key: Key, version: int) -> None:
        """Turn a bound name into a table of the workspace."""
        self._clear(key)
        source, relation = self._source(version), self._flow.versions[version].relation
        definition = relation.sql if relation is not None else None
        self.actions.append(Action("own", key=key, source=source, definition=definition))
        self.stand(key, self._flow.versions[version], is_view=False)

    # --- finding ----------------------------------------------------------------

    def _provide(self, reads_at: Mapping[Key, int], operation: Operation | None) -> None:
        """Make every name mean the version that the recorded text meant by it."""
        tables_first = sorted(
            reads_at.items(), key=lambda item: self._flow.versions[item[1]].kind != "table"
        )
        for key, version_id in tables_first:
            if self._standing.get(key) == version_id:
                continue
            version = self._flow.versions[version_id]
            current = next((k for k, v in self._standing.items() if v == version_id), None)
            if current is not None:
                self._clear(key)
                self.actions.append(
                    Action("rename", key=current, new_name=key[1], is_view=current in self._views)
                )
                self._move(current, key)
            elif version.producer is None or version_id in self._sources:
                self._bind(key, version)

    def _bind(self, key: Key, version: Version) -> None:
        self._clear(key)
        is_baseline_view = version.relation is not None and version.kind == "view"
        definition = version.relation.sql if version.relation and is_baseline_view else None
        source = None if definition else self._source(version.id)
        self.actions.append(Action("bind", key=key, source=source, definition=definition))
        self.stand(key, version, is_view=True)

    def _source(self, version: int) -> str:
        if version in self._sources:
            return self._sources[version]
        relation = self._flow.versions[version].relation
        assert relation is not None
        return sql_name((relation.schema, relation.name), BASELINE)

    # --- the workspace ----------------------------------------------------------

    def _clear(self, key: Key) -> None:
        if key in self._standing:
            self.actions.append(Action("drop", key=key, is_view=key in self._views))
            del self._standing[key]
            self._views.discard(key)

    def stand(self, key: Key, version: Version, *, is_view: bool) -> None:
        """Note that a version stands under a name."""
        self._standing[key] = version.id
        (self._views.add if is_view else self._views.discard)(key)

    def _move(self, old: Key, new: Key) -> None:
        self._standing[new] = self._standing.pop(old)
        if old in self._views:
            self._views.remove(old)
            self._views.add(new)

    def _drop_unused(self, index: int) -> None:
        """Free what no later operation reads: a candidate's tables would pile up in memory."""
        for key, version in list(self._standing.items()):
            is_free = (
                self._flow.versions[version].producer is not None and version not in self._kept
            )
            if is_free and key not in self._views and self._last_use.get(version, -1) <= index:
                self._clear(key)

    def _uses(self) -> tuple[dict[int, int], dict[int, Key]]:
        """Return when each version is used last, and under which name first."""
        last: dict[int, int] = {}
        first_key: dict[int, Key] = {}
        for operation in self._flow.operations:
            if operation.index in self._chosen:
                for key, version in operation.reads_at.items():
                    last[version] = operation.index
                    first_key.setdefault(version, key)
        end = len(self._flow.operations)
        for reading in self._flow.readings:
            for key, version in reading.reads_at.items():
                last[version] = max(last.get(version, -1), min(reading.position, end))
                first_key.setdefault(version, key)
                if reading.position >= end:
                    last[version] = end + 1
        return last, first_key


def _under_name(operation: Operation, key: Key) -> Template | None:
    """Return a CREATE under another name; None when its name is not in the text's head."""
    target = operation.statement.effect.target
    assert target is not None
    tokens = tokenize(operation.template.pieces[0])
    if (
        target.stop > len(tokens)
        or key[0] == TEMP_SCHEMA
        or operation.statement.effect.is_temporary
    ):
        return None
    name = ".".join(map(quoted, (*target.parts[:-2], key[0], key[1])))
    head = "".join(token.text for token in tokens[: target.start])
    rest = "".join(token.text for token in tokens[target.stop :])
    pieces = (head + name + rest, *operation.template.pieces[1:])
    return Template(pieces, operation.template.holes)
