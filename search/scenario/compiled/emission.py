"""From the data flow to actions: which SQL to run, where relations come from, what to drop."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from search.errors import RecordingError
from search.scenario.compiled.flow import (
    MAIN_SCHEMA,
    TEMP_SCHEMA,
    Flow,
    Key,
    Operation,
    Reading,
    Version,
)
from search.scenario.compiled.lexer import tokenize
from search.scenario.compiled.lifting import Template
from search.scenario.compiled.splitting import Split
from search.scenario.compiled.statements import RelationName, effect_of
from search.system.sql_text import quoted

ActionKind = Literal["run", "bind", "own", "drop", "rename", "export", "read"]

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


def hoist_actions(flow: Flow, split: Split) -> list[Action]:
    """Return what to do once, on a copy of the baseline, to make the hoisted versions."""
    emitter = _Emitter(flow, split.hoisted, {}, is_attached=False, exported=split.exported)
    for operation in flow.operations:
        if operation.index in split.hoisted:
            emitter.operate(operation)
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


class _Emitter:
    """Keeps which version stands under which name in the workspace, and emits what it takes.

    A version that is in the way of another is dropped, or parked under a name of ours when
    something still reads it.
    """

    def __init__(
        self,
        flow: Flow,
        chosen: Collection[int],
        sources: Mapping[int, str],
        *,
        is_attached: bool,
        exported: Collection[int] = (),
    ) -> None:
        self.actions: list[Action] = []
        self._flow = flow
        self._chosen = chosen
        self._sources = sources
        self._exported = exported
        self._is_attached = is_attached
        self._standing: dict[Key, int] = {}
        self._views: set[Key] = set()
        self._last_use, self._first_key = self._uses()
        if not is_attached:
            for version in flow.versions:
                if version.relation is not None:
                    self.stand(version.relation.key, version, is_view=version.kind == "view")

    def operate(self, operation: Operation) -> None:
        """Emit one recorded operation, and before it what it needs to find."""
        if operation.moved is not None:
            return  # names are put right where a version is next used
        self._provide(operation.reads_at, operation.index)
        if operation.made is None or operation.key is None:
            self._run(operation, operation.template)
            return
        version = self._flow.versions[operation.made]
        if version.kind == "macro":
            self._run(operation, operation.template)
        elif version.base is not None:
            self._change(operation, version)
        else:
            self._create(operation, version)
        self._drop_unused(operation.index)

    def read(self, reading: Reading) -> None:
        """Emit the reading of metrics."""
        self._provide(reading.reads_at, self._when(reading))
        self.actions.append(Action("read", marker=reading.marker))

    def _run(self, operation: Operation, template: Template, key: Key | None = None) -> None:
        """Emit a statement; what it makes stands under ``key``, else where it was recorded."""
        self.actions.append(
            Action("run", key=key or operation.key, template=template, operation=operation.index)
        )

    # --- making and changing ----------------------------------------------------

    def _create(self, operation: Operation, version: Version) -> None:
        assert operation.key is not None
        key, template = operation.key, operation.template
        wanted = self._first_key.get(version.id, key)
        if wanted != key and not self._is_needed(self._standing.get(wanted), operation.index):
            renamed = _under_name(operation, wanted)
            if renamed is not None:
                key, template = wanted, renamed
        if self._standing.get(key) in operation.reads:
            # The statement reads what it replaces.
            if key in self._views and version.kind == "table":
                self._own(key, self._standing[key])
        else:
            self._evict(key, operation.index + 1)
        self._run(operation, template, key)
        self._stand_new(key, version, is_view=version.kind == "view")

    def _change(self, operation: Operation, version: Version) -> None:
        assert operation.key is not None and version.base is not None
        if operation.key in self._views:
            self._own(operation.key, version.base)
        self._run(operation, operation.template)
        self._stand_new(operation.key, version, is_view=False)

    def _stand_new(self, key: Key, version: Version, *, is_view: bool) -> None:
        self.stand(key, version, is_view=is_view)
        if version.id in self._exported:
            self.actions.append(Action("export", key=key, version=version.id))

    def _own(self, key: Key, version: int) -> None:
        """Turn a bound name into a table of the workspace."""
        self._drop(key)
        source, relation = self._source(version), self._flow.versions[version].relation
        definition = relation.sql if relation is not None else None
        self.actions.append(Action("own", key=key, source=source, definition=definition))
        self.stand(key, self._flow.versions[version], is_view=False)

    # --- finding ----------------------------------------------------------------

    def _provide(self, reads_at: Mapping[Key, int], now: int) -> None:
        """Make every name mean the version that the recorded text meant by it."""
        names = {key[1] for key in reads_at}
        for key in [standing for standing in self._standing if standing[1] in names]:
            # What stands where the text found nothing could be found first.
            if reads_at.get(key) != self._standing[key]:
                self._evict(key, now)
        for key, version_id in self._in_order(reads_at):
            version = self._flow.versions[version_id]
            if version.kind == "macro" or self._standing.get(key) == version_id:
                continue
            current = next((k for k, v in self._standing.items() if v == version_id), None)
            if current is not None:
                self._rename(current, key)
            elif version.producer is None or version_id in self._sources:
                if self._is_readable(version, reads_at):
                    self._bind(key, version)
            else:
                raise RecordingError(f"no statement makes what {'.'.join(key)} must hold")

    def _in_order(self, reads_at: Mapping[Key, int]) -> list[tuple[Key, int]]:
        """Return what is read with each view behind all that its definition mentions."""
        ordered: dict[Key, int] = {}

        def visit(key: Key) -> None:
            if key in ordered or key in entered:
                return
            entered.add(key)
            mentioned = self._flow.versions[reads_at[key]].names
            for other in reads_at if mentioned else ():
                is_near = other[0] in (MAIN_SCHEMA, key[0]) or other[0] in mentioned
                if other[1] in mentioned and is_near:
                    visit(other)
            ordered[key] = reads_at[key]

        entered: set[Key] = set()
        for key in reads_at:
            visit(key)
        return list(ordered.items())

    def _is_readable(self, version: Version, reads_at: Mapping[Key, int]) -> bool:
        """Whether all is there that a view of the baseline mentions.

        DuckDB keeps a view whose tables were renamed, and nothing that succeeds reads it; made
        anew it would be refused.
        """
        relation = version.relation
        if version.kind != "view" or relation is None:
            return True
        there = {name for _, name in reads_at} | {relation.name.lower()}
        return not (version.names & self._baseline_names) - there

    @cached_property
    def _baseline_names(self) -> set[str]:
        relations = (version.relation for version in self._flow.versions)
        return {relation.name.lower() for relation in relations if relation is not None}

    def _bind(self, key: Key, version: Version) -> None:
        is_baseline_view = version.relation is not None and version.kind == "view"
        definition = version.relation.sql if version.relation and is_baseline_view else None
        if definition is not None and version.relation is not None and key != version.relation.key:
            # The scenario gave the view another name.
            target = effect_of(definition).target
            assert target is not None
            definition = _renamed(definition, target, key)
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

    def stand(self, key: Key, version: Version, *, is_view: bool) -> None:
        """Note that a version stands under a name."""
        self._standing[key] = version.id
        (self._views.add if is_view else self._views.discard)(key)

    def _evict(self, key: Key, now: int) -> None:
        """Free a name; what something from now on reads is kept under another one."""
        version = self._standing.get(key)
        if version is None:
            return
        if self._is_needed(version, now) and not self._can_bind(key, version):
            self._rename(key, (key[0], f"__parked_{version}"))
        else:
            self._drop(key)

    def _is_needed(self, version: int | None, now: int) -> bool:
        return version is not None and self._last_use.get(version, -1) >= now

    def _can_bind(self, key: Key, version: int) -> bool:
        """Whether a version that is dropped can be had again from where it came."""
        is_attached_baseline = (
            self._is_attached and self._flow.versions[version].relation is not None
        )
        return key in self._views and (version in self._sources or is_attached_baseline)

    def _drop(self, key: Key) -> None:
        self.actions.append(Action("drop", key=key, is_view=key in self._views))
        del self._standing[key]
        self._views.discard(key)

    def _rename(self, old: Key, new: Key) -> None:
        is_view = old in self._views
        self.actions.append(Action("rename", key=old, new_name=new[1], is_view=is_view))
        version = self._standing.pop(old)
        self._views.discard(old)
        self.stand(new, self._flow.versions[version], is_view=is_view)

    def _drop_unused(self, index: int) -> None:
        """Free what no later operation reads: a candidate's tables would pile up in memory."""
        for key, version in list(self._standing.items()):
            is_made = self._flow.versions[version].producer is not None
            if is_made and key not in self._views and not self._is_needed(version, index + 1):
                self._drop(key)

    def _when(self, reading: Reading) -> int:
        """Return the time of a reading, as the index of the operation that follows it."""
        end = len(self._flow.operations)
        return reading.position if reading.position < end else end + 1

    def _uses(self) -> tuple[dict[int, int], dict[int, Key]]:
        """Return when each version is used last, and under which name first."""
        last: dict[int, int] = {}
        first_key: dict[int, Key] = {}
        used = [
            (operation.index, operation.reads_at)
            for operation in self._flow.operations
            if operation.index in self._chosen
        ]
        used += [(self._when(reading), reading.reads_at) for reading in self._flow.readings]
        for when, reads_at in sorted(used, key=lambda use: use[0]):
            for key, version in reads_at.items():
                last[version] = when
                first_key.setdefault(version, key)
        return last, first_key


def _under_name(operation: Operation, key: Key) -> Template | None:
    """Return a CREATE under another name; None when its name is not in the text's head."""
    target = operation.statement.effect.target
    assert target is not None
    if (
        target.stop > len(tokenize(operation.template.pieces[0]))
        or key[0] == TEMP_SCHEMA
        or operation.statement.effect.is_temporary
    ):
        return None
    first = _renamed(operation.template.pieces[0], target, key)
    return Template((first, *operation.template.pieces[1:]), operation.template.holes)


def _renamed(sql: str, target: RelationName, key: Key) -> str:
    """Return a CREATE with another name in its head."""
    tokens = tokenize(sql)
    name = ".".join(map(quoted, (*target.parts[:-2], key[0], key[1])))
    head = "".join(token.text for token in tokens[: target.start])
    rest = "".join(token.text for token in tokens[target.stop :])
    return head + name + rest
