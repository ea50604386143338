"""The recorded program: everything that a replay needs, as data that is kept on disk."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from search.errors import RecordingError
from search.scenario.compiled.dataflow import analyse
from search.scenario.compiled.flow import (
    MACRO_SCHEMA,
    MAIN_SCHEMA,
    TEMP_SCHEMA,
    BaselineRelation,
    Flow,
    Key,
)
from search.scenario.compiled.inlining import Lifted, passed_on, still_the_same, with_views
from search.scenario.compiled.lifting import Template, bare_holes
from search.scenario.compiled.literals import literal_kind
from search.scenario.compiled.recording import RecordedStatement
from search.scenario.compiled.splitting import Split, split_flow
from search.scenario.compiled.statements import StatementEffect, effect_of
from search.scenario.plan import PlannedMetric
from search.study.values import Scalar

FORMAT_VERSION = 7
"""Goes up with the file's form, and with what is hoisted: the tables beside it follow from that."""
PROGRAM_FILE = "program.json"
_ATTACH = re.compile(
    r"^\s*attach\s+(?:or\s+replace\s+)?(?:database\s+)?(?:if\s+not\s+exists\s+)?", re.IGNORECASE
)
HOISTED_FILE = "hoisted.duckdb"


@dataclass(frozen=True)
class CheckPoint:
    """A candidate that dbt evaluated while it was recorded.

    Attributes:
        values: The candidate.
        replication: Value of the replication variable, or None.
        metrics: What dbt's evaluation yielded: what a replay must yield.
        seconds: Wall time of dbt's evaluation.
        started_at: When it began, seconds since the epoch (UTC).
    """

    values: Mapping[str, Scalar]
    replication: Scalar | None
    metrics: Mapping[str, float]
    seconds: float = 0.0
    started_at: float = 0.0


@dataclass(frozen=True)
class Program:
    """A scenario as statements with holes, over a baseline.

    Attributes:
        statements: Recorded statements with their templates, in order.
        baseline: What the baseline holds.
        metrics: What is read.
        bound: Tables whose cells parameters are written to.
        catalog: The database's name, which the statements carry.
        default_schema: Schema of unqualified names in the study author's own SQL.
        checks: Candidates with dbt's own metrics.
        warnings: What its user should know, one sentence each.
        draws_vary: Whether candidates run under several seeds of the engine's.
    """

    statements: tuple[tuple[RecordedStatement, Template], ...]
    baseline: tuple[BaselineRelation, ...]
    metrics: tuple[PlannedMetric, ...]
    bound: tuple[Key, ...]
    catalog: str
    default_schema: str
    checks: tuple[CheckPoint, ...]
    warnings: tuple[str, ...] = ()
    draws_vary: bool = False

    def moved(self, recorded: Path, now: Path) -> Program:
        """Return the program for files that are in another folder than when it was recorded.

        dbt writes the path of a seed's file into the SQL that loads it; so do views over files
        that the setup wrote.
        """
        if now == recorded:
            return self
        old, new = f"'{recorded}/", f"'{now}/"
        return replace(
            self,
            statements=tuple(
                (
                    replace(statement, sql=statement.sql.replace(old, new)),
                    replace(template, pieces=tuple(p.replace(old, new) for p in template.pieces)),
                )
                for statement, template in self.statements
            ),
            baseline=tuple(
                replace(relation, sql=relation.sql and relation.sql.replace(old, new))
                for relation in self.baseline
            ),
        )

    @cached_property
    def flow(self) -> Flow:
        """What depends on what, with views in place of the tables that are only passed on."""
        return self._analysed(with_views(self.statements, self.passed_on))

    @cached_property
    def passed_on(self) -> Mapping[int, int]:
        """Operations whose rows only pass through a table, each with the INSERT behind it."""
        plain = self._analysed(self.statements)
        passed = passed_on(plain, plain.tainted(self.bound, with_draws=self.draws_vary))
        while passed:
            kept = still_the_same(
                plain, self._analysed(with_views(self.statements, passed)), passed
            )
            if kept == passed:
                break
            passed = kept
        return passed

    def _analysed(self, statements: Lifted) -> Flow:
        metrics_at = self._metrics_at()
        return analyse(
            tuple(
                statement
                for statement in statements
                if statement[0].marker is None or metrics_at[statement[0].marker]
            ),
            self.baseline,
            {marker: [m.sql for m in metrics] for marker, metrics in metrics_at.items() if metrics},
            default_schema=self.default_schema,
        )

    @cached_property
    def split(self) -> Split:
        """What runs once, and what for every candidate."""
        return split_flow(self.flow, self.bound, with_draws=self.draws_vary)

    @property
    def attachments(self) -> tuple[str, ...]:
        """Statements that attach databases for reading, each for an instance that may have it."""
        attached = [
            statement.sql for statement, _ in self.statements if statement.effect.kind == "attach"
        ]
        return tuple(dict.fromkeys(_ATTACH.sub("attach if not exists ", sql) for sql in attached))

    @property
    def schemas(self) -> tuple[str, ...]:
        """Every schema that a relation of the program stands in."""
        names = {relation.schema.lower() for relation in self.baseline}
        names |= {operation.key[0] for operation in self.flow.operations if operation.key}
        return tuple(sorted(names - {MAIN_SCHEMA, TEMP_SCHEMA, MACRO_SCHEMA}))

    def knows_literals_of(self, values: Mapping[str, Scalar]) -> bool:
        """Whether each literal of a candidate is of a kind that was recorded.

        dbt may send other statements where it is not: a contract tells DOUBLE from DECIMAL.
        """
        fresh = [
            name for name, kinds in self._kinds.items() if literal_kind(values[name]) not in kinds
        ]
        return not fresh or self._bare.isdisjoint(fresh)

    @cached_property
    def _kinds(self) -> Mapping[str, frozenset[str]]:
        return {
            name: frozenset(literal_kind(check.values[name]) for check in self.checks)
            for name in self.checks[0].values
        }

    @cached_property
    def _bare(self) -> frozenset[str]:
        return bare_holes(self.statements, self.checks[0].values)

    def live_parameters(self) -> frozenset[str]:
        """Return the parameters whose value stands in a statement that the metrics need."""
        needed = self.flow.needed() & self.split.replayed  # and not what tests alone need
        return frozenset().union(*(self.flow.operations[i].template.parameters for i in needed))

    def live_tables(self) -> frozenset[Key]:
        """Return the bound tables that the metrics need."""
        read = frozenset().union(
            *(self.flow.operations[i].reads for i in self.flow.needed() & self.split.replayed),
            *(reading.reads for reading in self.flow.readings),
        )
        relations = (self.flow.versions[version].relation for version in read)
        return frozenset(
            relation.key for relation in relations if relation is not None
        ) & frozenset(self.bound)

    def _metrics_at(self) -> dict[tuple[int, object] | None, list[PlannedMetric]]:
        metrics: dict[tuple[int, object] | None, list[PlannedMetric]] = {None: []}
        for statement, _ in self.statements:
            if statement.marker is not None:
                step, loop_value = statement.marker
                metrics[statement.marker] = [
                    metric
                    for metric in self.metrics
                    if metric.step == step and metric.loop_value in (None, loop_value)
                ]
        metrics[None] = [metric for metric in self.metrics if metric.step is None]
        return metrics


def save(program: Program, folder: Path) -> None:
    """Write a program into a folder."""
    document = {
        "format_version": FORMAT_VERSION,
        "statements": [
            _statement_document(statement, template) for statement, template in program.statements
        ],
        "baseline": [vars(relation) for relation in program.baseline],
        "metrics": [vars(metric) for metric in program.metrics],
        "bound": program.bound,
        "catalog": program.catalog,
        "default_schema": program.default_schema,
        "checks": [
            {
                "values": dict(check.values),
                "replication": check.replication,
                "metrics": dict(check.metrics),
                "seconds": check.seconds,
                "started_at": check.started_at,
            }
            for check in program.checks
        ],
        "warnings": program.warnings,
        "draws_vary": program.draws_vary,
    }
    (folder / PROGRAM_FILE).write_text(json.dumps(document), encoding="utf-8")


def load(folder: Path) -> Program:
    """Read a program from a folder.

    Raises:
        RecordingError: If it is not whole, or of another format.
    """
    try:
        document = json.loads((folder / PROGRAM_FILE).read_text(encoding="utf-8"))
        if document["format_version"] != FORMAT_VERSION:
            raise RecordingError(f"the program in {folder} has another format")
        return Program(
            statements=tuple(_statement(statement) for statement in document["statements"]),
            baseline=tuple(BaselineRelation(**relation) for relation in document["baseline"]),
            metrics=tuple(
                PlannedMetric(**metric | {"vars": tuple(metric["vars"])})
                for metric in document["metrics"]
            ),
            bound=tuple((schema, name) for schema, name in document["bound"]),
            catalog=document["catalog"],
            default_schema=document["default_schema"],
            checks=tuple(CheckPoint(**check) for check in document["checks"]),
            warnings=tuple(document["warnings"]),
            draws_vary=bool(document["draws_vary"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordingError(f"the program in {folder} is not whole: {error}") from error


def _statement_document(statement: RecordedStatement, template: Template) -> dict[str, Any]:
    return {
        "sql": statement.sql,
        "step": statement.step,
        "node": statement.node,
        "marker": statement.marker,
        "place": statement.place,
        "pieces": template.pieces,
        "holes": template.holes,
    }


def _statement(document: Mapping[str, Any]) -> tuple[RecordedStatement, Template]:
    marker = document["marker"]
    effect = StatementEffect("nothing") if marker else effect_of(document["sql"])
    statement = RecordedStatement(
        sql=document["sql"],
        effect=effect,
        step=document["step"],
        node=document["node"],
        marker=(marker[0], marker[1]) if marker else None,
        place=document["place"],
    )
    return statement, Template(tuple(document["pieces"]), tuple(document["holes"]))
