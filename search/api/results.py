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
from search.errors import ArgumentError, AuditError
from search.report.findings import findings_of
from search.report.gathering import read_facts
from search.study.values import Scalar
from search.views.findings import Findings
from search.views.grid import Grid
from search.views.headline import headline
from search.views.outcomes import OUTCOMES, alternative_lines, outcomes, settings, side_names


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
class Alternative:
    """Another plan that meets every target.

    Attributes:
        name: How it differs from the best trial, in words.
        trial: The trial that it is.
        parameters: Its candidate.
        metrics: What it yields, each in its unit.
    """

    name: str
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
    def alternatives(self) -> tuple[Alternative, ...]:
        """Other plans that meet every target, the one that differs most first."""
        return tuple(
            Alternative(
                alternative.name,
                alternative.trial,
                dict(alternative.values),
                dict(alternative.metrics),
            )
            for alternative in self._findings.alternatives
            if alternative.trial is not None
        )

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

    @property
    def _findings(self) -> Findings:
        return findings_of(read_facts(self.folder, study=self.study))

    def __repr__(self) -> str:
        head = "targets met" if self.is_converged else "targets not met"
        return f"<StudyResult {self.study}: {head} - {self.reason}>"

    def _repr_html_(self) -> str:
        """Return the result for notebooks: the same sentence and tables as the report's."""
        findings = self._findings
        outcome = Grid(tuple(OUTCOMES), tuple(tuple(line.row) for line in outcomes(findings)))
        names = ("parameter", *side_names(findings))
        values = Grid(
            names, tuple((setting.name, *setting.values) for setting in settings(findings))
        )
        parts = [headline(findings), f"{self.study}: {self.reason}", *alternative_lines(findings)]
        lines = "".join(f"<p>{html.escape(part)}</p>" for part in parts)
        return lines + _html_table(outcome) + _html_table(values)


def open_results(folder: str | Path) -> StudyResult:
    """Return what the newest study of a results folder has found so far.

    Args:
        folder: The study's own folder, ``results/<study>``.

    Raises:
        AuditError: If nothing is published there yet.
    """
    if not isinstance(folder, str | Path):
        raise ArgumentError(f"folder must be a path, but got {folder!r:.80}")
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


def _html_table(grid: Grid) -> str:
    """Return a table; what stands in it is text, whatever a study's author called things."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in grid.header)
    rows = (
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in grid.rows
    )
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"
