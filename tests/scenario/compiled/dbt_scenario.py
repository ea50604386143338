"""Small dbt projects made of models in a test, and what both engines make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import yaml
from isolations import ISOLATIONS

from search.scenario.compiled.library import Library
from search.scenario.compiled.program import Program
from search.scenario.compiled.replay import Replay
from search.scenario.compiled.source import Source
from search.scenario.dbt_session import resolve_profile
from search.scenario.evaluator import DbtEvaluatorFactory, StageClock
from search.scenario.hashing import FileHashes, hash_parts
from search.scenario.held_clock import HeldClock
from search.scenario.outcome import EvaluationRequest
from search.scenario.plan import PlannedMetric, ScenarioPlan, TableBind, VarBind
from search.scenario.relations import Relations
from search.scenario.world import World
from search.study.parameters import ParameterSpec
from search.study.steps import ExpandedStep

Values = Mapping[str, Any]

CLOCK = HeldClock(datetime(2024, 2, 29, 23, 59, 58, tzinfo=UTC))
"""Stands still in these projects; the third step begins on the next day."""


def silent(_: str) -> None:
    """Take a line of progress."""


@dataclass(frozen=True)
class Around:
    """What a project has beside its models.

    Attributes:
        files: Path below the project's folder to text.
        schema: Schema of the profile.
        cells: For a parameter bound to a cell of a baseline table: its bind.
        profile: More for the profile's target.
        databases: Further databases in the project's folder, by file name: SQL that makes them.
        seed: What seeds DuckDB before each statement that draws, or None.
        may_read: Whether SQL of the study may read any file, not only through dbt's models.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    schema: str = "main"
    cells: Mapping[str, TableBind] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)
    databases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seed: int | None = None
    may_read: bool = True


class Mini:
    """A dbt project of a few models, without the checks of a study file.

    Args:
        folder: An empty folder.
        models: File name to text.
        parameters: What a study file says of each parameter; bound to the var of its name.
        metrics: SQL by name.
        setup: SQL that makes the baseline.
        project: More for ``dbt_project.yml``.
        steps: How many times the project is run, or the steps; ``var('turn')`` counts.
        around: What the project has beside its models.
    """

    def __init__(
        self,
        folder: Path,
        models: Mapping[str, str],
        parameters: Mapping[str, Mapping[str, Any]],
        metrics: Mapping[str, str | PlannedMetric],
        *,
        setup: Sequence[str] = (),
        project: Mapping[str, Any] | None = None,
        steps: int | Sequence[ExpandedStep] = 1,
        around: Around = Around(),
    ) -> None:
        self.folder = folder
        current = {name: one["current"] for name, one in parameters.items()}
        (folder / "models").mkdir(parents=True)
        for name, text in models.items():
            (folder / "models" / name).write_text(text, encoding="utf-8")
        for name, text in around.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        document = {
            "name": "mini",
            "version": "1.0",
            "profile": "mini",
            "flags": {"send_anonymous_usage_stats": False},
            "vars": current | {"turn": 1},
        } | dict(project or {})
        (folder / "dbt_project.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
        output: dict[str, Any] = {
            "type": "duckdb",
            "path": str(folder / "mini.duckdb"),
            "schema": around.schema,
        }
        output |= around.profile
        for name, sqls in around.databases.items():
            with duckdb.connect(str(folder / name)) as connection:
                for sql in sqls:
                    connection.execute(sql)
        profiles = {"mini": {"target": "dev", "outputs": {"dev": output}}}
        (folder / "profiles.yml").write_text(yaml.safe_dump(profiles), encoding="utf-8")
        baseline = folder / "baseline" / "mini.duckdb"
        baseline.parent.mkdir()
        with duckdb.connect(str(baseline)) as connection:
            for sql in setup:
                connection.execute(sql)
        self.parameters = {
            name: ParameterSpec.model_validate({**one, "bind": _bind(name, around.cells.get(name))})
            for name, one in parameters.items()
        }
        self.current: dict[str, Any] = current
        programs = folder / "programs"
        key = hash_parts([str(folder)])
        self.world = World(programs / "worlds", key, FileHashes(programs), CLOCK)
        self.plan = ScenarioPlan(
            project_dir=folder,
            profile=resolve_profile(folder, profiles_dir=folder),
            baseline=baseline,
            vars={},
            steps=tuple(turns(steps) if isinstance(steps, int) else steps),
            relations=Relations(),
            metrics=tuple(
                one if isinstance(one, PlannedMetric) else PlannedMetric(name, one)
                for name, one in metrics.items()
            ),
            var_binds=tuple(VarBind(name, name) for name in parameters if name not in around.cells),
            table_binds=tuple(around.cells.values()),
            replication_var=None,
            allow_external_access=around.may_read,
            fingerprints={"scenario": hash_parts([str(folder)])},
            seed=around.seed,
            world=self.world,
            clock=CLOCK,
        )
        self.factory = DbtEvaluatorFactory(
            self.plan,
            memory_limit_bytes=512 * 2**20,
            max_temp_bytes=2**30,
            threads=1,
            scratch_parent=folder / "scratch",
        )
        source = Source(self.factory, self.parameters, around.seed)
        self.library = Library.of(source, folder / "programs")

    def compile(self, **values: Any) -> tuple[Program, Path]:
        """Return the program for a candidate, and its folder."""
        return self.library.find_or_compile(self.current | values, report=silent)


def turns(count: int, command: Literal["run", "build"] = "run") -> list[ExpandedStep]:
    """Return steps that run the whole project; ``var('turn')`` counts them."""
    return [
        ExpandedStep(f"steps[{i}]", i, "dbt", command=command, vars={"turn": i + 1})
        for i in range(count)
    ]


def _bind(name: str, cell: TableBind | None) -> dict[str, str]:
    if cell is None:
        return {"var": name}
    return {"table": cell.table, "column": cell.column, "where": cell.where}


def by_dbt(factory: DbtEvaluatorFactory, candidates: Sequence[Values]) -> list[dict[str, float]]:
    """Return the metrics that the reference engine gives."""
    evaluator = factory()
    evaluator.open()
    try:
        return [
            evaluator.measure(EvaluationRequest(0, dict(one)), StageClock()) for one in candidates
        ]
    finally:
        evaluator.close()


def by_replay(library: Library, candidates: Sequence[Values]) -> list[list[dict[str, float]]]:
    """Return the metrics that a replay gives, on every workspace."""
    found = []
    for values in candidates:
        program, folder = library.find_or_compile(values, report=silent)
        on_each = []
        for isolation in ISOLATIONS:
            replay = Replay(library.source.factory, program, folder, isolation)
            try:
                on_each.append(replay.measure(EvaluationRequest(0, dict(values)), StageClock()))
            finally:
                replay.close()
        found.append(on_each)
    return found
