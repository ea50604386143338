"""Where a replay and dbt part ways: the first relation that differs, for who has to mend it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from search.scenario.compiled.emission import Action, sql_name
from search.scenario.compiled.program import Program
from search.scenario.compiled.replay import OVERLAY, Replay
from search.scenario.evaluator import DbtEvaluator, DbtEvaluatorFactory, StageClock
from search.scenario.outcome import EvaluationRequest
from search.study.steps import ExpandedStep
from search.system.scratch import create_scratch, remove_scratch
from search.system.sql_text import literal, quoted

DBT = "__dbt"
"""Catalog of dbt's result beside the replay's."""
_VOLATILE = ("TIMESTAMP", "TIME", "UUID")
"""Types of columns that dbt projects fill with the moment or a random id."""


@dataclass(frozen=True)
class Divergence:
    """The first relation in which a replay differs from dbt.

    Attributes:
        relation: Its name.
        step: The step that made it.
        model: The dbt node that made it; None when it was the author's own SQL.
        rows: In the replay.
        dbt_rows: In dbt's database.
        differing: Rows that only one of them has.
        columns: Columns whose values differ, each taken alone.
    """

    relation: str
    step: str
    model: str | None
    rows: int
    dbt_rows: int
    differing: int
    columns: tuple[str, ...]

    def text(self) -> str:
        """Return the finding in a sentence.

        Example:
            >>> Divergence("main.fct", "steps[0]", "model.a.fct", 9, 10, 3, ("pay",)).text()
            'the first relation that differs is main.fct (steps[0], model.a.fct): 9 rows where dbt has 10, 3 rows differ, in pay'
        """  # noqa: E501 - one sentence
        where = ", ".join(part for part in (self.step, self.model) if part)
        columns = f", in {', '.join(self.columns)}" if self.columns else ""
        return (
            f"the first relation that differs is {self.relation} ({where}): {self.rows:,} rows "
            f"where dbt has {self.dbt_rows:,}, {self.differing:,} rows differ{columns}"
        )


def first_divergence(
    factory: DbtEvaluatorFactory, program: Program, folder: Path, request: EvaluationRequest
) -> Divergence | None:
    """Return the first relation in which a replay differs from dbt; None when none does.

    Relations are compared as the last statement that makes them leaves them, in the order of
    the replay. One that differs in moments and random ids alone counts only when no other does.

    Args:
        factory: Makes the reference evaluator.
        program: What is replayed.
        folder: Where its hoisted tables are.
        request: The candidate.

    Raises:
        SearchError: If either of them fails.
    """
    scratch = create_scratch(factory.scratch_parent)
    try:
        kept = scratch / f"{DBT}.duckdb"
        reference = _KeepingEvaluator(factory, kept)
        reference.open()
        try:
            reference.measure(request, StageClock())
        finally:
            reference.close()
        comparison = _Comparison(kept, program)
        replay = Replay(factory, program, folder, OVERLAY, observer=comparison.look, also=[kept])
        try:
            comparison.prepare(replay.actions)
            replay.measure(request, StageClock())
        finally:
            replay.close()
        return comparison.first or comparison.first_volatile
    finally:
        remove_scratch(scratch)


class _KeepingEvaluator(DbtEvaluator):
    """The reference engine, which leaves a copy of its database behind."""

    def __init__(self, factory: DbtEvaluatorFactory, kept: Path) -> None:
        super().__init__(factory)
        self._kept = kept

    def run_step(self, step: ExpandedStep, candidate_vars: dict[str, Any]) -> None:
        """Run a step; after the last one, copy the database."""
        super().run_step(step, candidate_vars)
        if step is self._plan.steps[-1]:
            with self._runner.connection() as connection:
                connection.execute("checkpoint")
            shutil.copyfile(self._workspace.path, self._kept)


class _Comparison:
    """Compares relations while a replay makes them."""

    def __init__(self, kept: Path, program: Program) -> None:
        self._kept = kept
        self._program = program
        self._last: set[int] = set()
        self._is_attached = False
        self.first: Divergence | None = None
        self.first_volatile: Divergence | None = None

    def prepare(self, actions: tuple[Action, ...]) -> None:
        """Note which action is the last that makes or changes each relation."""
        last = {
            action.key: action.operation
            for action in actions
            if action.kind == "run" and action.key
        }
        self._last = {operation for operation in last.values() if operation is not None}

    def look(self, action: Action, connection: Any) -> None:
        """Compare what an action has just made."""
        if self.first is not None or action.key is None or action.operation not in self._last:
            return
        if not self._is_attached:
            connection.execute(f"attach {literal(self._kept)} as {quoted(DBT)} (read_only)")
            self._is_attached = True
        ours, theirs = sql_name(action.key), sql_name(action.key, DBT)
        columns = _columns(connection, theirs)
        if not columns or _columns(connection, ours).keys() != columns.keys():
            return  # dbt drops it in the end, or it is no relation
        differing = _differing(connection, ours, theirs, "*")
        if not differing:
            return
        changed = [name for name in columns if _differing(connection, ours, theirs, quoted(name))]
        operation = self._program.flow.operations[action.operation]
        divergence = Divergence(
            relation=".".join(action.key),
            step=operation.statement.step,
            model=operation.statement.node,
            rows=_count(connection, ours),
            dbt_rows=_count(connection, theirs),
            differing=differing,
            columns=tuple(changed),
        )
        if changed and all(columns[name].startswith(_VOLATILE) for name in changed):
            self.first_volatile = self.first_volatile or divergence
        else:
            self.first = divergence


def _columns(connection: Any, relation: str) -> dict[str, str]:
    """Return the type of each column; empty when there is no such relation."""
    try:
        return {row[0]: row[1] for row in connection.execute(f"describe {relation}").fetchall()}
    except duckdb.Error:
        return {}


def _differing(connection: Any, ours: str, theirs: str, columns: str) -> int:
    mine, other = (f"select {columns} from {name}" for name in (ours, theirs))
    return _count(
        connection,
        f"(({mine} except all {other}) union all ({other} except all {mine}))",
    )


def _count(connection: Any, relation: str) -> int:
    return int(connection.execute(f"select count(*) from {relation}").fetchone()[0])
