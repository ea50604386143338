"""What became of every recorded statement, and why: for a person who wants to see inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search.scenario.compiled.flow import Operation
from search.scenario.compiled.program import Program

REPLAYED, HOISTED, SLICED, MOVED = "replayed", "hoisted", "sliced away", "folded"


@dataclass(frozen=True)
class Explained:
    """One recorded statement and its fate.

    Attributes:
        node: dbt's id of the node that sent it; the step's name for the author's own SQL.
        step: The step that it belongs to.
        what: The statement's beginning.
        fate: ``replayed`` for each candidate, ``hoisted`` (ran once), ``sliced away`` or
            ``folded`` (a rename that became part of a create, rows that an INSERT computes itself).
        why: The reason in a few words.
        seconds: Wall time in one replay; 0 when it does not run there.
    """

    node: str
    step: str
    what: str
    fate: str
    why: str
    seconds: float


def explain(program: Program, operation_seconds: Mapping[int, float]) -> list[Explained]:
    """Return the fate of every statement that changes something, in recorded order.

    Args:
        program: The program.
        operation_seconds: Wall time of each operation in one replay.
    """
    return [
        _explained(program, operation, operation_seconds.get(operation.index, 0.0))
        for operation in program.flow.operations
        if operation.statement.effect.kind != "read"
    ]


def _explained(program: Program, operation: Operation, seconds: float) -> Explained:
    fate, why = _fate(program, operation)
    statement = operation.statement
    return Explained(
        node=statement.node or statement.step,
        step=statement.step,
        what=" ".join(statement.sql.split())[:80],
        fate=fate,
        why=why,
        seconds=seconds,
    )


def _fate(program: Program, operation: Operation) -> tuple[str, str]:
    kind = operation.statement.effect.kind
    if operation.moved is not None or kind == "drop":
        return MOVED, "names are put right where the relation is made"
    if operation.index in program.passed_on and operation.index in program.split.replayed:
        return MOVED, "the INSERT behind it computes its rows"
    if operation.index in program.split.replayed:
        return REPLAYED, _why_replayed(program, operation)
    if operation.index in program.split.hoisted:
        return HOISTED, "no parameter reaches it"
    return SLICED, "no metric needs it"


def _why_replayed(program: Program, operation: Operation) -> str:
    parameters = sorted(operation.template.parameters)
    if parameters:
        return f"holds {', '.join(parameters)}"
    if operation.made is None:
        return "sets the session up"
    if operation.made not in program.split.tainted:
        return "a view: only text"
    return _reached_through(program, operation)


def _reached_through(program: Program, operation: Operation) -> str:
    """Return which relations bring a parameter to a statement without holes."""
    names = []
    for key, version in operation.reads_at.items():
        if version in program.split.tainted and program.flow.versions[version].kind == "table":
            names.append(key[1])
    return f"reads {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
