"""A scenario of plain SQL, run in order on a plain database and through the compiled engine.

It stands for a recording without dbt: everything from the data flow to the replay is real.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from search.scenario.compiled.hoisting import hoist, read_baseline
from search.scenario.compiled.lifting import Template
from search.scenario.compiled.program import Program, load, save
from search.scenario.compiled.recording import RecordedStatement
from search.scenario.compiled.replay import Replay
from search.scenario.compiled.statements import StatementEffect, effect_of
from search.scenario.evaluator import DbtEvaluatorFactory, StageClock
from search.scenario.outcome import EvaluationRequest
from search.scenario.plan import PlannedMetric, Profile, ScenarioPlan, TableBind
from search.scenario.relations import Relations

CATALOG = "sim"
HOLE = re.compile(r"\{(\w+)\}")
Values = Mapping[str, float]


@dataclass(frozen=True)
class Mark:
    """A point at which metrics are read."""

    loop_value: int


Line = str | Mark
"""A statement whose holes are written ``{name}``, or a mark."""


@dataclass(frozen=True)
class Script:
    """A scenario of plain SQL.

    Attributes:
        setup: What makes the baseline.
        lines: What a candidate runs.
        metrics: SQL read at the end, by name.
        metrics_at_marks: SQL read at every mark, by name.
        table_binds: Cells that parameters are written to.
        schema: The profile's schema.
        own: Indexes of the lines that are the study author's own.
    """

    setup: Sequence[str]
    lines: Sequence[Line]
    metrics: Mapping[str, str]
    metrics_at_marks: Mapping[str, str] = field(default_factory=dict)
    table_binds: tuple[TableBind, ...] = ()
    schema: str = "main"
    own: frozenset[int] = frozenset()

    def planned_metrics(self) -> tuple[PlannedMetric, ...]:
        """Return the metrics as a plan has them."""
        return (
            *(PlannedMetric(name, sql) for name, sql in self.metrics.items()),
            *(
                PlannedMetric(name, sql, step=0, combine="sum")
                for name, sql in self.metrics_at_marks.items()
            ),
        )


def filled(line: str, values: Values) -> str:
    """Return a statement with its holes filled."""
    return HOLE.sub(lambda match: str(values[match[1]]), line)


def template_of(line: str) -> Template:
    """Return the template that lifting would find."""
    parts = HOLE.split(line)
    return Template(tuple(parts[::2]), tuple(parts[1::2]))


def lifted(script: Script) -> tuple[tuple[RecordedStatement, Template], ...]:
    """Return what recording and lifting would make of a script."""
    found = []
    for index, line in enumerate(script.lines):
        if isinstance(line, Mark):
            statement = RecordedStatement(
                "", StatementEffect("nothing"), "steps[0]", marker=(0, line.loop_value)
            )
            found.append((statement, Template(("",))))
            continue
        sql = HOLE.sub("0.5", line)
        node = None if index in script.own else "model.test.any"
        found.append((RecordedStatement(sql, effect_of(sql), "steps[0]", node), template_of(line)))
    return tuple(found)


def run_plainly(script: Script, database: Path, values: Values) -> dict[str, float]:
    """Run every statement in order on a copy of the baseline, and return the metrics."""
    copy = database.parent / "plain" / database.name
    copy.parent.mkdir(exist_ok=True)
    shutil.copyfile(database, copy)
    sums: dict[str, float] = {}
    with duckdb.connect(str(copy), config={"threads": 1}) as root:
        connection = root.cursor()
        for bind in script.table_binds:
            connection.execute(bind.update_sql(), [values[bind.parameter]])
        for index, line in enumerate(script.lines):
            if isinstance(line, Mark):
                connection = root.cursor()  # each step has a connection of its own
                for name, sql in script.metrics_at_marks.items():
                    sums[name] = sums.get(name, 0.0) + _number(connection, sql, script.schema)
            else:
                connection.execute(
                    f"use {CATALOG}.{script.schema if index in script.own else 'main'}"
                )
                connection.execute(filled(line, values))
        connection = root.cursor()
        found = {
            name: _number(connection, sql, script.schema) for name, sql in script.metrics.items()
        }
        connection.close()
    copy.unlink()
    return found | sums


def _number(connection: Any, sql: str, schema: str) -> float:
    connection.execute(f"use {CATALOG}.{schema}")
    row = connection.execute(sql).fetchone()
    connection.execute(f"use {CATALOG}.main")
    return float(row[0])


class Compiled:
    """A script compiled in a folder, without dbt.

    Args:
        script: The scenario.
        folder: An empty folder.
    """

    def __init__(self, script: Script, folder: Path) -> None:
        self.script = script
        self.folder = folder
        self.baseline = folder / "baseline" / f"{CATALOG}.duckdb"
        self.baseline.parent.mkdir(parents=True)
        with duckdb.connect(str(self.baseline)) as connection:
            for sql in script.setup:
                connection.execute(sql)
            connection.execute("checkpoint")
        self.plan = ScenarioPlan(
            project_dir=folder,
            profile=Profile("test", "dev", {"type": "duckdb", "schema": script.schema}, CATALOG),
            baseline=self.baseline,
            vars={},
            steps=(),
            relations=Relations(),
            metrics=script.planned_metrics(),
            var_binds=(),
            table_binds=script.table_binds,
            replication_var=None,
            allow_external_access=False,
            fingerprints={"scenario": "test"},
        )
        self.factory = DbtEvaluatorFactory(
            self.plan,
            memory_limit_bytes=256 * 2**20,
            max_temp_bytes=2**30,
            threads=1,
            scratch_parent=folder / "scratch",
        )
        content = folder / "program"
        content.mkdir()
        self.program = Program(
            statements=lifted(script),
            baseline=read_baseline(self.plan),
            metrics=self.plan.metrics,
            bound=tuple(
                dict.fromkeys(
                    (script.schema, bind.relation.replace('"', "")) for bind in script.table_binds
                )
            ),
            catalog=CATALOG,
            default_schema="main",
            checks=(),
        )
        scratch = folder / "hoist"
        scratch.mkdir()
        hoist(self.program, self.factory, content, scratch)
        shutil.rmtree(scratch)
        save(self.program, content)
        self.content = content

    def replay(self, isolation: str) -> Replay:
        """Return a replay of the program as it is read back from disk."""
        return Replay(self.factory, load(self.content), self.content, isolation)

    def metrics(self, replay: Replay, values: Values) -> dict[str, float]:
        """Return a candidate's metrics."""
        return replay.measure(EvaluationRequest(0, dict(values)), StageClock())
