"""What of a program is made once, and what anew for every candidate."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from search.scenario.compiled.flow import Flow, Key


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


def split_flow(flow: Flow, bound: Collection[Key], *, with_draws: bool = False) -> Split:
    """Return which needed operations run once and which for every candidate.

    Args:
        flow: The data flow.
        bound: Baseline tables whose cells parameters are written to.
        with_draws: Whether what draws differs between evaluations.
    """
    tainted = flow.tainted(bound, with_draws=with_draws)
    tests = flow.tests(tainted)
    needed = flow.needed(tests)
    hoisted, replayed = set(), set()
    for operation in flow.operations:
        if operation.index not in needed:
            continue
        version = operation.made if operation.made is not None else operation.moved
        if operation.index in tests:
            replayed.add(operation.index)
        elif version is None:  # settings and schemas: before everything, and always
            hoisted.add(operation.index)
            replayed.add(operation.index)
        elif version in tainted:
            replayed.add(operation.index)
        else:
            hoisted.add(operation.index)
    replayed |= _ruled(flow, replayed)
    replayed |= _definitions(flow, replayed, hoisted)
    made_anew = {flow.operations[index].made for index in replayed}
    read = set().union(
        *(flow.operations[index].reads for index in replayed),
        *(reading.reads for reading in flow.readings),
    )
    exported = {
        version
        for version in read - tainted - made_anew
        if flow.versions[version].producer is not None and flow.versions[version].kind == "table"
    }
    return Split(frozenset(hoisted), frozenset(replayed), frozenset(exported), tainted)


def _ruled(flow: Flow, replayed: Collection[int]) -> set[int]:
    """Return what made the tables that replayed operations change, where they have rules.

    What is kept of a hoisted table is its rows. A candidate that breaks a constraint must fail as
    it does in dbt, and a default must be filled in, so such a table is made anew from its start.
    """
    anew: set[int] = set()
    for index in replayed:
        made = flow.operations[index].made
        base = None if made is None else flow.versions[made].base
        makers: list[int] = []
        has_rules = False
        while base is not None:
            version = flow.versions[base]
            if version.producer is None:
                has_rules |= version.relation is not None and version.relation.sql is not None
            else:
                makers.append(version.producer)
                has_rules |= flow.operations[version.producer].statement.effect.sets_rules
            base = version.base
        anew |= set(makers) if has_rules else set()
    return anew


def _definitions(flow: Flow, replayed: Collection[int], hoisted: Collection[int]) -> set[int]:
    """Return the hoisted views and macros that replayed operations or metrics read.

    They are only text, and made anew where they are needed.
    """
    definitions: set[int] = set()
    wanted = set().union(*(reading.reads for reading in flow.readings))
    for operation in reversed(flow.operations):
        is_definition = (
            operation.index in hoisted
            and operation.made in wanted
            and flow.versions[operation.made].kind != "table"
        )
        if is_definition:
            definitions.add(operation.index)
        if is_definition or operation.index in replayed:
            wanted |= operation.reads
    return definitions
