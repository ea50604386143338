"""What must not be replayed, told before the replay is tried: with the node, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch

from search.errors import RecordingError
from search.scenario.compiled.draws import SEED_ADVICE, Draw, draws_of, listed, seeds_itself
from search.scenario.compiled.flow import MAIN_SCHEMA, Operation
from search.scenario.compiled.lexer import tokenize
from search.scenario.compiled.program import Program
from search.scenario.compiled.statements import shortened
from search.scenario.compiled.walls import place_of
from search.scenario.plan import ScenarioPlan

_SEQUENCE = re.compile(r"\b(?:nextval|currval)\s*\(", re.IGNORECASE)
SAMPLE_ADVICE = "DuckDB cannot seed that; give the sample `repeatable (1)`, or a number of rows"


def refuse_data_dependent_text(program: Program) -> None:
    """Refuse text that follows from data that a parameter changes.

    Raises:
        RecordingError: If there is any.
    """
    kept = _nodes_kept(program)
    for operation in program.flow.operations:
        statement = operation.statement
        if statement.effect.kind in ("setting", "schema") and operation.template.parameters:
            raise RecordingError(f"{statement.node} sets {shortened(statement.sql)} by a parameter")
        is_query = statement.effect.kind == "read" and statement.node in kept
        is_query = is_query and not statement.is_test
        depends = operation.reads & program.split.tainted or operation.template.parameters
        if is_query and depends:
            raise RecordingError(
                f"{statement.node} asks for data that a parameter changes while it renders its "
                f"SQL: {shortened(statement.sql)}"
            )


def _nodes_kept(program: Program) -> frozenset[str]:
    """Return the nodes whose SQL counts: what metrics need, and hooks, which may change all."""
    needed = program.flow.needed()
    return frozenset(
        operation.statement.node
        for operation in program.flow.operations
        if operation.statement.node is not None
        and (
            operation.statement.node.startswith("operation.")
            or (
                operation.index in needed
                and operation.statement.effect.kind not in ("setting", "schema")
            )
        )
    )


def refuse_what_cannot_be_replayed(program: Program) -> None:
    """Refuse what metrics need and a replay cannot do; what no metric needs is left out.

    Raises:
        RecordingError: Names the node and what it does.
    """
    needed = program.flow.needed()
    kept = [operation for operation in program.flow.operations if operation.index in needed]
    _refuse_other_paths(program)
    for operation in program.flow.operations:
        if operation.statement.effect.kind == "attach" and operation.template.parameters:
            raise RecordingError(
                f"{place_of(operation.statement)} attaches a database that a parameter names"
            )
    for operation in kept:
        if refusal := operation.statement.effect.refusal:
            raise RecordingError(f"{place_of(operation.statement)}: {refusal}")
        if _SEQUENCE.search("".join(operation.template.pieces)):
            raise RecordingError(
                f"{place_of(operation.statement)}: nextval() counts on from where the statement "
                "before left it, and a replay leaves statements out; use row_number() over ()"
            )
    texts = ["".join(operation.template.pieces) for operation in kept]
    texts += [metric.sql for metric in program.metrics]
    texts += [relation.sql or "" for relation in program.baseline if relation.kind == "view"]
    for operation in program.flow.operations:
        effect = operation.statement.effect
        if effect.kind == "write" and (file := _read_again(operation.statement.sql, texts)):
            raise RecordingError(
                f"{place_of(operation.statement)}: {effect.refusal}, and {file} is read again"
            )
        if effect.kind == "sequence" and any(_SEQUENCE.search(text) for text in texts):
            raise RecordingError(f"{place_of(operation.statement)}: {effect.refusal}")


def _refuse_other_paths(program: Program) -> None:
    """Refuse USE and SET SCHEMA, but where no name can mean something else by them.

    That is so for the schema that names mean anyway, and for one that holds nothing as long as
    whatever is made has its schema before its name.
    """
    operations = program.flow.operations
    schemas = {relation.key[0] for relation in program.baseline}
    schemas |= {operation.key[0] for operation in operations if operation.key is not None}
    loose = next((operation for operation in operations if _makes_loosely(operation)), None)
    for operation in operations:
        target = operation.statement.effect.target
        if operation.statement.effect.kind != "path" or target is None:
            continue
        schema = MAIN_SCHEMA if target.parts == (program.catalog.lower(),) else target.name
        if operation.template.parameters or (
            schema != MAIN_SCHEMA and (schema in schemas or loose is not None)
        ):
            raise RecordingError(
                f"{place_of(operation.statement)}: what unqualified names mean must not change "
                f"({shortened(operation.statement.sql)})"
            )


def _makes_loosely(operation: Operation) -> bool:
    """Whether dbt's statement makes something under a name without a schema."""
    effect, target = operation.statement.effect, operation.statement.effect.target
    if effect.is_temporary or operation.statement.node is None or target is None:
        return False
    return effect.kind.startswith("create_") and len(target.parts) == 1


def _read_again(write: str, texts: Sequence[str]) -> str | None:
    """Return what of a writing statement's files stands in other statements, by its name."""
    for token in tokenize(write):
        name = token.text.strip("'").rstrip("/").rsplit("/", 1)[-1]
        stem = name.partition("{")[0].partition("*")[0]
        if token.kind != "string" or len(stem) < 2:
            continue
        if any(stem in text or any(fnmatch(name, glob) for glob in _globs(text)) for text in texts):
            return name
    return None


def _globs(text: str) -> list[str]:
    strings = (token.text.strip("'") for token in tokenize(text) if token.kind == "string")
    return [string.rsplit("/", 1)[-1] for string in strings if "*" in string or "?" in string]


def draws_in(program: Program) -> Iterator[tuple[str, tuple[Draw, ...]]]:
    """Yield who draws at random, of all that the metrics need, and with what."""
    needed = program.flow.needed()
    for operation in program.flow.operations:
        is_asked = operation.statement.effect.kind == "read" and operation.statement.node
        if operation.index in needed or is_asked:
            own = draws_of("".join(operation.template.pieces))
            if own:
                yield place_of(operation.statement), own
    for relation in program.baseline:
        draws = draws_of(relation.sql or "") if relation.kind == "view" else ()
        if draws and any(
            _reads(o, relation.key) for o in program.flow.operations if o.index in needed
        ):
            yield f"view {relation.schema}.{relation.name} of the setup", draws
    for metric in program.metrics:
        if draws := draws_of(metric.sql):
            yield f"metric {metric.name}", draws


def judge_chance(program: Program, plan: ScenarioPlan) -> tuple[str, ...]:
    """Return a sentence for each draw that no seed repeats and that may be harmless.

    Raises:
        RecordingError: If metrics need draws that nothing makes repeatable.
    """
    warnings = []
    for place, draws in draws_in(program):
        unseedable = [draw for draw in draws if not draw.is_seedable and not draw.is_id]
        if plan.seed is not None and unseedable:
            raise RecordingError(f"{place} draws with {listed(unseedable)}; {SAMPLE_ADVICE}")
        if plan.seed is not None:
            continue
        serious = [draw for draw in draws if not draw.is_id]
        if serious:
            raise RecordingError(
                f"{place} draws with {listed(serious)}, so the same parameters give other numbers "
                f"each time; {SEED_ADVICE}{_own_seed(program)}"
            )
        warnings.append(
            f"{place} draws with {listed(draws)}, so what follows from it differs at each "
            f"evaluation; {SEED_ADVICE}"
        )
    return tuple(dict.fromkeys(warnings))


def _own_seed(program: Program) -> str:
    """Return who calls ``setseed``: a replay leaves statements out, so that is not enough."""
    for operation in program.flow.operations:
        if seeds_itself(operation.statement.sql):
            return f" (setseed() in {place_of(operation.statement)} is not enough)"
    return ""


def _reads(operation: Operation, key: tuple[str, str]) -> bool:
    return key in operation.reads_at
