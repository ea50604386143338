"""What must not be replayed, told before the replay is tried: with the node, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from search.errors import RecordingError
from search.scenario.compiled.chance import SEED_ADVICE, Draw, draws_of, listed, seeds_itself
from search.scenario.compiled.dataflow import Operation
from search.scenario.compiled.program import Program
from search.scenario.compiled.recording import RecordedStatement
from search.scenario.compiled.statements import shortened
from search.scenario.plan import ScenarioPlan

SAMPLE_ADVICE = "DuckDB cannot seed that; give the sample `repeatable (1)`, or a number of rows"


def place_of(statement: RecordedStatement) -> str:
    """Return who sent a statement, for a message."""
    return statement.node or f"the SQL of {statement.step}"


def refuse_data_dependent_text(program: Program) -> None:
    """Refuse text that follows from data that a parameter changes.

    Raises:
        RecordingError: If there is any.
    """
    for operation in program.flow.operations:
        statement = operation.statement
        if statement.effect.kind in ("setting", "schema") and operation.template.parameters:
            raise RecordingError(f"{statement.node} sets {shortened(statement.sql)} by a parameter")
        is_query = statement.effect.kind == "read" and statement.node is not None
        depends = operation.reads & program.split.tainted or operation.template.parameters
        if is_query and depends:
            raise RecordingError(
                f"{statement.node} asks for data that a parameter changes while it renders its "
                f"SQL: {shortened(statement.sql)}"
            )


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
