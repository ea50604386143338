"""Records what dbt sends to DuckDB while it evaluates one candidate."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from search.errors import RecordingError
from search.scenario.compiled.draws import SEED_ADVICE
from search.scenario.compiled.lexer import strip_leading_comments
from search.scenario.compiled.probes import UseLog, probe
from search.scenario.compiled.statements import StatementEffect, effect_of, split
from search.scenario.evaluator import DbtEvaluator, DbtEvaluatorFactory, StageClock
from search.scenario.jinja_chance import WHAT
from search.scenario.outcome import EvaluationRequest
from search.scenario.report_tables import TablesAside
from search.scenario.seeds import DrawPlaces
from search.study.steps import ExpandedStep
from search.system.child import Report

RUN_VALUE = "\x01run\x01"
"""Stands in a recorded text where dbt put a value of its own (the invocation's id).

Not in zeros: before DuckDB 2.0 its parser ends a text there.
"""

_STAMP = re.compile(r"(__dbt_tmp)\d{14,}")
_INDEX = re.compile(
    r'(\bcreate\s+(?:unique\s+)?index\s+(?:if\s+not\s+exists\s+)?)"[0-9a-f]{32}"', re.IGNORECASE
)
"""An index that dbt-duckdb names after its table and the moment, for ``indexes`` of a model."""
_PYTHON_MODEL = "__dbt_python_model_df_"
"""dbt-duckdb's name for what a Python model returned."""
_OF_PLUGIN = re.compile(r"^create or replace \w+ \S+ as select \* from \w+_df$", re.IGNORECASE)
"""How dbt-duckdb makes a source of what a plugin loaded."""
_TEST, _UNIT_TEST = "test.", "unit_test."
_VERDICT = re.compile(r"\bas\s+should_error\b", re.IGNORECASE)
"""Stands in the one query by which dbt asks for the outcome of a data test."""


@dataclass(frozen=True)
class RecordedStatement:
    """One statement, or the mark of a point at which metrics are read.

    Attributes:
        sql: The text without dbt's comment; names of temporary tables without their stamp.
        effect: What it does.
        step: Name of the step that sent it.
        node: dbt's id of the node that sent it; None for the author's own SQL.
        marker: Index and loop value of a step after which metrics are read; the statement
            is then empty.
        place: Where it stands, for a seed before it; None when it cannot draw.
    """

    sql: str
    effect: StatementEffect
    step: str
    node: str | None = None
    marker: tuple[int, Any] | None = None
    place: str | None = None

    @property
    def is_test(self) -> bool:
        """Whether it asks for the outcome of a data test of ``dbt build``."""
        return self.effect.kind == "read" and (self.node or "").startswith(_TEST)


@dataclass(frozen=True)
class Recording:
    """A recorded evaluation.

    Attributes:
        statements: In the order in which DuckDB got them.
        metrics: What the evaluation yielded: the reference for a replay.
        uses: Parameters that a template compared or computed with, and where.
        unsupported: What was met that cannot be replayed; empty when all can.
    """

    statements: tuple[RecordedStatement, ...]
    metrics: Mapping[str, float]
    uses: Mapping[str, set[str]]
    unsupported: tuple[str, ...] = ()


@dataclass
class _Tape:
    """Collects statements while dbt runs."""

    statements: list[RecordedStatement] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    step: str = ""
    indexes: int = 0
    places: DrawPlaces = field(default_factory=DrawPlaces)

    def take(self, sql: str, bindings: Any, node: str | None, invocation_id: str | None) -> None:
        """Take what dbt-duckdb hands to DuckDB."""
        if node is not None and node.startswith(_UNIT_TEST):
            return
        self.places.step = self.step
        refusal = None
        if _PYTHON_MODEL in sql:
            refusal = (
                "is a Python model, which dbt alone can run; where no parameter reaches it, let"
                " scenario.setup run it"
            )
        elif _OF_PLUGIN.match(sql.strip()):
            refusal = "takes a source that a plugin loads, which dbt alone can run"
        elif bindings:
            refusal = "sends values apart from its SQL text"
        text = strip_leading_comments(sql)
        if invocation_id:
            text = text.replace(invocation_id, RUN_VALUE)
        text = _INDEX.sub(self._named_index, _STAMP.sub(r"\1_stamp", text))
        if not text:
            return
        try:
            for statement in split(text):
                place = self.places.of(statement, node)
                effect = effect_of(statement)
                if refusal is not None:
                    effect = replace(effect, refusal=refusal)
                is_of_test = (node or "").startswith(_TEST) and effect.kind == "read"
                if is_of_test and not _VERDICT.search(statement):
                    continue  # a test that asks for data while it renders: its verdict tells
                if effect.kind != "nothing":
                    self.statements.append(
                        RecordedStatement(statement, effect, self.step, node, place=place)
                    )
        except RecordingError as error:
            self._refuse(node, refusal or error.message)

    def forget(self, nodes: Collection[str]) -> None:
        """Drop what nodes sent."""
        self.statements = [
            statement for statement in self.statements if statement.node not in nodes
        ]

    def mark(self, index: int, loop_value: Any) -> None:
        """Note that metrics are read here."""
        self.statements.append(
            RecordedStatement("", StatementEffect("nothing"), self.step, marker=(index, loop_value))
        )

    def _named_index(self, match: re.Match[str]) -> str:
        """Return the beginning of a CREATE INDEX with a name that every recording gives it."""
        self.indexes += 1
        return f'{match[1]}"index_{self.indexes}_of_dbt"'

    def _refuse(self, node: str | None, why: str) -> None:
        self.unsupported.append(f"{node or self.step}: {why}")


class RecordingEvaluator(DbtEvaluator):
    """The reference engine with a tape: evaluates a candidate and keeps every statement.

    Args:
        factory: The plan and this process's limits.
        aside: Reads the report's tables of a candidate, once it is recorded.
    """

    def __init__(self, factory: DbtEvaluatorFactory, aside: TablesAside | None = None) -> None:
        super().__init__(factory)
        self._aside = aside
        self._since = 0.0
        self._tape = _Tape()
        self._log = UseLog()
        self.observer = self._observe

    def record(self, request: EvaluationRequest) -> Recording:
        """Evaluate a candidate of probe values and return what was sent.

        Raises:
            SearchError: If the scenario fails at these values.
        """
        self._tape, self._log = _Tape(), UseLog()
        self._request, self._since = request, time.time()
        self._runner.session.drew.clear()
        metrics = self.measure(request, StageClock())
        self._refuse_drawn_text(self._runner.session.drew)
        return Recording(
            statements=tuple(self._tape.statements),
            metrics=metrics,
            uses=self._log.used,
            unsupported=tuple(dict.fromkeys(self._tape.unsupported)),
        )

    def _refuse_drawn_text(self, nodes: Collection[str]) -> None:
        """Refuse SQL whose text chance decided: the next evaluation may have another.

        With one seed for all evaluations it has the same, and with several it has not.
        """
        if self._plan.seed is None:
            why = f"so the same parameters give other numbers each time; {SEED_ADVICE}"
        elif self._plan.has_replications:
            why = "so its SQL is another one for each seed of the replications"
        else:
            return
        self._tape.unsupported += [f"{node} draws with {WHAT}, {why}" for node in sorted(nodes)]

    def candidate_vars(self, request: EvaluationRequest) -> dict[str, Any]:
        """Return the candidate's vars, with probes in place of the parameters' values."""
        values = dict(self._plan.vars_of(request))
        for bind in self._plan.var_binds:
            values[bind.var] = probe(bind.parameter, values[bind.var], self._log)
        seed = self._plan.replication_var
        if seed is not None and seed in values:
            values[seed] = probe(seed, values[seed], self._log)
        return values

    def run_step(self, step: ExpandedStep, candidate_vars: dict[str, Any]) -> None:
        """Run a step with the tape on."""
        self._tape.step = step.name
        super().run_step(step, candidate_vars)
        self._tape.forget(self._runner.session.warning_tests)  # they fail no candidate
        if step.ends_repetition and step.loop is not None:
            self._tape.mark(step.index, step.loop[1])  # whether or not a metric is read here today

    def look(self, candidate_vars: dict[str, Any]) -> None:
        """Read the report's tables with the tape off, where they are asked for."""
        if self._aside is not None:
            tape, self._tape = self._tape, _Tape()
            try:
                args = self._request, self._plan, self._runner, self._reads, self._since
                self._aside.read(*args)
            finally:
                self._tape = tape

    def _observe(self, sql: str, bindings: Any, node: str | None, invocation: str | None) -> None:
        self._tape.take(sql, bindings, node, invocation)


def record_once(
    factory: DbtEvaluatorFactory, request: EvaluationRequest, *, report: Report
) -> Recording:
    """Record one request in this process.

    Raises:
        SearchError: If the scenario fails at these values.
    """
    recorder = RecordingEvaluator(factory)
    recorder.open()
    try:
        return recorder.record(request)
    finally:
        recorder.close()
