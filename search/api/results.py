"""What a study found, for Python: from a run, or from its results folder later."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.audit.reader import AuditReader
from search.audit.records import RunRecord, TrialMetric
from search.driver.results import RunResult
from search.errors import AuditError
from search.study.figures import with_unit
from search.study.values import Scalar


@dataclass(frozen=True)
class Winner:
    """The best trial of a study.

    Attributes:
        trial: Its number.
        parameters: Its candidate.
        metrics: What it yields, each in its unit.
    """

    trial: int
    parameters: Mapping[str, Scalar]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class TargetOutcome:
    """What the winner reaches of one target.

    Attributes:
        metric: Name of the metric.
        unit: Its unit, or None.
        wanted: The wanted value; None where a range or an objective is wanted.
        achieved: What the winner yields.
        variance: Relative distance of the two, ``achieved / wanted - 1``; None without a value.
        is_met: Whether the target is met; None for an objective.
    """

    metric: str
    unit: str | None
    wanted: float | None
    achieved: float | None
    variance: float | None
    is_met: bool | None


@dataclass(frozen=True)
class StudyResult:
    """What a study found.

    Attributes:
        study: The study's name in the storage, version included.
        folder: Its results folder.
        is_converged: Whether all targets are met.
        reason: Why the last run ended, for a person.
        warnings: What the user should know; empty for a result that is opened later.
    """

    study: str
    folder: Path
    is_converged: bool
    reason: str
    warnings: tuple[str, ...] = ()

    @classmethod
    def of_run(cls, run: RunResult) -> StudyResult:
        """Return the result of a run that has just ended."""
        return cls(run.study, run.folder, run.is_converged, run.reason, run.warnings)

    @property
    def reader(self) -> AuditReader:
        """All of the audit trail."""
        return AuditReader(self.folder, study=self.study)

    @property
    def best(self) -> Winner | None:
        """The best trial; None while no trial is complete."""
        number = next((row.trial for row in self.reader.best()), None)
        if number is None:
            return None
        detail = self.reader.trial(number)
        metrics = {row.metric: row.value for row in detail.metrics if row.value is not None}
        return Winner(number, dict(detail.record.candidate or {}), metrics)

    @property
    def targets(self) -> tuple[TargetOutcome, ...]:
        """The targets, and what the winner reaches of each."""
        best = self.best
        rows = [] if best is None else self.reader.trial(best.trial).metrics
        return tuple(_outcome(row) for row in rows if row.target_kind is not None)

    @property
    def trials(self) -> Any:
        """Every trial as a DuckDB relation: a column for each parameter and each metric.

        ``.df()`` needs pandas, ``.pl()`` polars, ``.arrow()`` pyarrow.
        """
        return self.reader.trials_relation()

    @property
    def report_path(self) -> Path:
        """The page for people."""
        return self.folder / "report.html"

    def _repr_html_(self) -> str:
        """Return the result as a table, for notebooks."""
        head = "targets met" if self.is_converged else "targets not met"
        rows = [
            (t.metric, with_unit(t.wanted, t.unit), with_unit(t.achieved, t.unit), _word(t.is_met))
            for t in self.targets
        ]
        best = self.best
        values = [] if best is None else [(n, str(v), "", "") for n, v in best.parameters.items()]
        cells = [
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in [("target", "wanted", "achieved", ""), *rows, ("parameter", "value", "", "")]
            + values
        ]
        title = html.escape(f"{self.study}: {head} - {self.reason}")
        return f"<p>{title}</p><table>{''.join(cells)}</table>"


def open_results(folder: str | Path) -> StudyResult:
    """Return what the newest study of a results folder has found so far.

    Args:
        folder: The study's own folder, ``results/<study>``.

    Raises:
        AuditError: If nothing is published there yet.
    """
    place = Path(folder)
    runs: list[RunRecord] = AuditReader(place).runs()
    if not runs:
        raise AuditError(f"a results folder has at least one run, but {place} has none yet")
    last = max(runs, key=lambda run: run.started_at)
    return StudyResult(
        last.study, place, bool(last.is_converged), last.reason or f"the run is {last.state}"
    )


def _outcome(row: TrialMetric) -> TargetOutcome:
    return TargetOutcome(row.metric, row.unit, row.target, row.value, row.variance, row.is_met)


def _word(is_met: bool | None) -> str:
    return {True: "met", False: "missed", None: "-"}[is_met]
