"""Recordings outlive edits: what dbt sends depends on none of a study's metrics and targets.

Beside each library of programs a folder keeps what was recorded, under a key without the metrics.
Where metrics are added, changed or removed, a program is made of it without asking dbt.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.errors import RecordingError
from search.scenario.compiled.program import Program, load, save
from search.scenario.compiled.shelf import check_content, key_of, publish
from search.scenario.compiled.source import Source
from search.scenario.compiled.variants import Variants, read_variants, write_variants
from search.scenario.evaluator import saw_templates
from search.scenario.plan import PlannedMetric, ScenarioPlan
from search.scenario.read_log import ReadLog
from search.scenario.world import World
from search.study.values import Scalar
from search.system import files
from search.system.seal import Seal, users_seal

Values = Mapping[str, Scalar]


@dataclass(frozen=True)
class Recordings:
    """What dbt sent for one scenario, whatever its metrics.

    Attributes:
        folder: Where it is kept.
        world: What was read meanwhile.
        seal: What says that it was recorded by this user.
    """

    folder: Path
    world: World
    seal: Seal

    @classmethod
    def of(cls, source: Source, cache: Path) -> Recordings | None:
        """Return the recordings of a scenario, as what it reads is now; None where none is kept.

        Args:
            source: What is recorded.
            cache: Folder of all programs.
        """
        world = source.factory.plan.recorded
        if world is None:
            return None
        seal = users_seal().for_purpose("recordings")
        key = key_of(source, world.fingerprint())
        return cls(cache / f"recorded-{key}-{seal.name}", world, seal)

    def find(self, candidate: Values) -> tuple[Program, Variants] | None:
        """Return what was recorded for a candidate's program; None when nothing was."""
        variants = read_variants(self.folder, self.seal)
        if variants is None:
            return None
        folder = self.folder / variants.name_of(candidate)
        try:
            check_content(folder, self.seal)
            return load(folder), variants
        except RecordingError:
            shutil.rmtree(folder, ignore_errors=True)
            return None

    def keep(self, program: Program, candidate: Values, variants: Variants) -> None:
        """Keep what a program was made of."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with files.building_folder(self.folder) as building:
            content = building / "recorded"
            content.mkdir()
            save(program, content)
            publish(content, self.folder / variants.name_of(candidate), self.seal)
            write_variants(self.folder, variants, self.seal)
        self.world.seal()


def known_metrics(recorded: Program, plan: ScenarioPlan) -> list[str]:
    """Return the metrics that dbt was asked for when it was recorded, and that are the same."""
    known = {metric.name: _document(metric) for metric in recorded.metrics}
    return [metric.name for metric in plan.metrics if known.get(metric.name) == _document(metric)]


def require_sure(recorded: Program, plan: ScenarioPlan) -> None:
    """Refuse a recording where dbt itself might give a new metric otherwise, or read more.

    Raises:
        RecordingError: Says why dbt must be asked again.
    """
    known = set(known_metrics(recorded, plan))
    fresh = [metric for metric in plan.metrics if metric.name not in known]
    if not known:
        raise RecordingError("no metric is one that dbt was asked for, so nothing can be compared")
    if plan.recorded is None or plan.recorded.has_notes:
        raise RecordingError("the project writes files, which a new metric may read")
    inputs = plan.recorded.inputs()
    if any(source.kind == "remote" for source in inputs.values()):
        raise RecordingError("the scenario reads what cannot be watched")
    if fresh and plan.allow_external_access:
        raise RecordingError(f"{_named(fresh)} may read files, which only dbt's run would tell")
    asked = _clock_inputs(recorded, plan) - inputs.keys()
    if asked:
        raise RecordingError(f"{_named(fresh)} may depend on the time ({', '.join(sorted(asked))})")


def _clock_inputs(recorded: Program, plan: ScenarioPlan) -> set[str]:
    """Return what tells a time that today's metrics may depend on, as keys of inputs."""
    reads = ReadLog(plan.project_dir)
    for statement, _ in recorded.statements:
        reads.saw_statement(statement.sql, statement.node)
    for metric in plan.metrics:
        reads.saw_statement(metric.sql, f"metric {metric.name}")
    saw_templates(reads, plan.project_dir)
    return {f"clock {what}" for what in reads.clock_places()}


def _named(metrics: Iterable[PlannedMetric]) -> str:
    return f"metric {', '.join(metric.name for metric in metrics)}"


def _document(metric: PlannedMetric) -> Any:
    """Return a metric as JSON has it, so that lists and tuples are the same."""
    return json.loads(json.dumps({**vars(metric), "unit": None}))
