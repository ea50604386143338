"""Writes rows once that an incremental model writes twice.

dbt puts the new rows of an incremental model into a temporary table, and from there into the
model. With ``append`` nothing else reads that table: it can be a view, and the INSERT then
computes the rows itself. They are the same, in the same order, because the INSERT only lists
columns; where that is not plain to see, the table stays.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from search.scenario.compiled.flow import Flow, Operation
from search.scenario.compiled.lexer import Token, tokenize
from search.scenario.compiled.lifting import Template
from search.scenario.compiled.recording import RecordedStatement
from search.scenario.compiled.statements import RelationName

Lifted = Sequence[tuple[RecordedStatement, Template]]


def passed_on(flow: Flow, tainted: Collection[int]) -> dict[int, int]:
    """Return which tables are only passed on by an INSERT: their operation to the INSERT's.

    Args:
        flow: The data flow of what was recorded.
        tainted: Versions that a parameter reaches: what runs once stays a table.
    """
    readers: dict[int, list[Operation]] = {}
    for operation in flow.operations:
        for version in operation.reads:
            readers.setdefault(version, []).append(operation)
    read_by_metrics = frozenset().union(*(reading.reads for reading in flow.readings))
    read_by = {}
    for operation in flow.operations:
        reading = readers.get(operation.made, []) if operation.made is not None else []
        if (
            operation.made in tainted
            and operation.made not in read_by_metrics
            and len(reading) == 1
            and _is_temporary_query(operation)
            # A view would draw where the INSERT stands, with another seed.
            and operation.index not in flow.drawing
            and _only_passes_on(reading[0], operation, flow)
        ):
            read_by[operation.index] = reading[0].index
    return read_by


def still_the_same(plain: Flow, changed: Flow, passed: dict[int, int]) -> dict[int, int]:
    """Return those tables whose query means the same where the INSERT runs.

    Args:
        plain: The data flow of what was recorded.
        changed: The data flow with views in place of the tables.
        passed: The tables.
    """
    return {
        made: insert
        for made, insert in passed.items()
        if plain.operations[made].reads_at.items() <= changed.operations[insert].reads_at.items()
    }


def with_views(lifted: Lifted, passed: Collection[int]) -> Lifted:
    """Return the statements with views in place of tables.

    Args:
        lifted: What was recorded.
        passed: Indexes of operations; marks of readings do not count.
    """
    made = []
    index = -1
    for statement, template in lifted:
        index += statement.marker is None
        if index in passed and statement.marker is None:
            target = statement.effect.target
            assert target is not None
            first = _as_view(template.pieces[0], target)
            made.append(
                (
                    replace(statement, effect=replace(statement.effect, kind="create_view")),
                    Template((first, *template.pieces[1:]), template.holes),
                )
            )
        else:
            made.append((statement, template))
    return made


def _is_temporary_query(operation: Operation) -> bool:
    """Whether an operation is CREATE TEMPORARY TABLE ... AS, of rows in no asked-for order."""
    effect, pieces = operation.statement.effect, operation.template.pieces
    if effect.kind != "create_table" or not effect.is_temporary or effect.is_conditional:
        return False
    if operation.statement.node is None or effect.target is None:
        return False
    tokens = tokenize(operation.statement.sql)
    if effect.target.stop > len(tokenize(pieces[0])):
        return False
    rest = [token for token in tokens[effect.target.stop :] if token.is_significant]
    return _word(rest[:1]) == "as" and not _is_ordered(rest[1:])


def _is_ordered(query: Sequence[Token]) -> bool:
    """Whether a query's own rows are ordered or limited; inside a window does not count."""
    depth = 0
    base = 1 if query and query[0].text == "(" else 0
    for token in query:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth <= base and token.kind == "word" and token.text.lower() in ("order", "limit"):
            return True
    return False


def _only_passes_on(insert: Operation, source: Operation, flow: Flow) -> bool:
    """Whether an operation is INSERT INTO other (columns) SELECT columns FROM the table."""
    target = insert.statement.effect.target
    if insert.template.holes or target is None or source.key is None:
        return False
    if insert.statement.effect.kind != "modify" or insert.made is None:
        return False
    if flow.versions[insert.made].base in source.reads:
        return False  # the rows follow from those that are there
    tokens: Sequence[Token] = tokenize(insert.statement.sql)
    if [_word([following]) for following in tokens if following.is_significant][:2] != [
        "insert",
        "into",
    ]:
        return False
    rest: Sequence[Token] = [
        following for following in tokens[target.stop :] if following.is_significant
    ]
    rest = (
        _after_names(rest[1:], ")") if _text(rest) == "(" and _word(rest[1:]) != "select" else rest
    )
    if _text(rest) == "(" and rest[-1].text == ")":
        rest = rest[1:-1]
    if _word(rest) != "select":
        return False
    rest = _after_names(rest[1:], "from")
    return len(rest) == 1 and rest[0].name == source.key[1]


def _after_names(tokens: Sequence[Token], end: str) -> Sequence[Token]:
    """Return what follows names with commas between them and the end; nothing when it is else."""
    for position, token in enumerate(tokens):
        if token.kind != "quoted" and token.text.lower() == end:
            return tokens[position + 1 :] if position % 2 else ()
        if (token.text == ",") != bool(position % 2) or (position % 2 == 0 and not token.name):
            return ()
    return ()


def _as_view(text: str, target: RelationName) -> str:
    tokens = tokenize(text)
    return "".join(
        "view" if i < target.start and token.text.lower() == "table" else token.text
        for i, token in enumerate(tokens)
    )


def _word(tokens: Sequence[Token]) -> str:
    return tokens[0].text.lower() if tokens and tokens[0].kind == "word" else ""


def _text(tokens: Sequence[Token]) -> str:
    return tokens[0].text if tokens else ""
