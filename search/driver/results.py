"""What a search, a run and a single evaluation leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.audit.schema import DATABASE_NAME
from search.scenario.verdict import Verification
from search.study.alternatives import OtherPlan
from search.study.budget import MemoryPlan
from search.study.targets import Goal
from search.study.values import Scalar

if TYPE_CHECKING:  # they import NumPy, and commands that only read must not
    from search.sampling.diagnosis import Diagnosis
    from search.sampling.stopping import State

TARGETS_MET = "targets_met"
TARGETS_MISSED = "targets_missed"
METRICS_NOT_REPRODUCED = "metrics_not_reproduced"
TESTS_NEWLY_FAILING = "tests_newly_failing"
NOTHING_COMPLETE = "nothing_complete"


@dataclass(frozen=True)
class CompleteTrial:
    """A trial that yielded its metrics.

    Attributes:
        number: Its number.
        iteration: Its iteration; 0 is the current parameters.
        values: Its candidate.
        metrics: What came out, over the replications.
        evaluations: Value of the replication variable (None without one) and metrics of
            each evaluation.
    """

    number: int
    iteration: int
    values: Mapping[str, Scalar]
    metrics: Mapping[str, float]
    evaluations: Sequence[tuple[Scalar | None, Mapping[str, float]]] = ()


@dataclass(frozen=True)
class SearchEnd:
    """How a search ended.

    Attributes:
        reason: In a sentence.
        state: What the model of the metrics says: ``converged``, ``unreachable``,
            ``no_progress``, or ``searching`` when a limit ended it.
        is_converged: Whether the best trial meets every target.
        best: The best complete trial; None when none is complete.
        current: The trial of the current parameters; None when it is not complete.
        iterations: Iterations that were completed, the current parameters not counted.
        trials: Trials that ended.
        failed_trials: Those of them that failed.
        goals: The goals, with relative ones resolved.
        complete: Every complete trial, in order.
        diagnosis: Why targets are missed; None when all are met or too little is known.
        alternatives: Other trials that meet every target, the one that differs most first.
        polished: Evaluations after every target was met.
        scouted: Evaluations of plans that might win under other seeds, no trials of their own.
    """

    reason: str
    state: State
    is_converged: bool
    best: CompleteTrial | None
    current: CompleteTrial | None
    iterations: int
    trials: int
    failed_trials: int
    goals: tuple[Goal, ...]
    complete: tuple[CompleteTrial, ...]
    diagnosis: Diagnosis | None
    alternatives: tuple[OtherPlan, ...] = ()
    polished: int = 0
    scouted: int = 0


@dataclass(frozen=True)
class RunResult:
    """What a run leaves.

    Attributes:
        study: The study's name in the storage, version included.
        end: How the search ended.
        memory: The memory plan that was kept.
        batch_size: Candidates of one iteration.
        sampler: The sampler's name.
        wall_seconds: From start to end.
        startup_seconds: Until the first candidate was submitted.
        peak_memory_bytes: Peak of all processes together, proportional set size.
        folder: The study's results folder.
        warnings: What the user should know.
        engine: What evaluated: ``dbt`` or ``compiled``.
        isolation: ``copy`` or ``overlay``.
        verification: What real dbt says of the winner; None when dbt evaluated it anyway,
            or when there is none.
        appraisal: What was found out at the end, as ``Appraisal.document`` has it.
        anchor: The audit trail's head at the end, to be kept elsewhere.
        prefer: What was preferred among candidates that meet every target.
    """

    study: str
    end: SearchEnd
    memory: MemoryPlan
    batch_size: int
    sampler: str
    wall_seconds: float
    startup_seconds: float
    peak_memory_bytes: int
    folder: Path
    warnings: tuple[str, ...]
    engine: str = "dbt"
    isolation: str = "copy"
    verification: Verification | None = None
    appraisal: Mapping[str, Any] = field(default_factory=dict)
    anchor: str = ""
    prefer: str = "none"

    @property
    def is_verified(self) -> bool | None:
        """Whether real dbt confirms the winner; None when it was not asked."""
        return self.verification.is_verified if self.verification else None

    @property
    def is_metrics_verified(self) -> bool | None:
        """Whether the winner's metrics are real dbt's; None without a winner."""
        if self.verification is not None:
            return self.verification.is_equal
        return True if self.engine == "dbt" and self.end.best is not None else None

    @property
    def is_converged(self) -> bool:
        """Whether the winner meets every target, and real dbt has nothing against it."""
        return self.reason_code == TARGETS_MET

    @property
    def reason_code(self) -> str:
        """How the run ended, in a word for programs."""
        if self.end.best is None:
            return NOTHING_COMPLETE
        if self.verification is not None and not self.verification.is_equal:
            return METRICS_NOT_REPRODUCED
        if self.verification is not None and self.verification.tests.newly_failing:
            return TESTS_NEWLY_FAILING
        return TARGETS_MET if self.end.is_converged else TARGETS_MISSED

    @property
    def reason(self) -> str:
        """How the run ended, in a sentence."""
        if self.verification is None or self.verification.is_verified:
            return self.end.reason
        return f"{self.end.reason}; NOT VERIFIED: {self.verification.text()}"

    @property
    def evaluations_per_second(self) -> float:
        """Trials of the study over the time of this run after its startup."""
        return self.end.trials / max(self.wall_seconds - self.startup_seconds, 1e-9)

    @property
    def audit_path(self) -> Path:
        """The published audit database."""
        return self.folder / DATABASE_NAME

    @property
    def report_path(self) -> Path:
        """The report for people."""
        return self.folder / "report.html"


@dataclass(frozen=True)
class EngineComparison:
    """What real dbt made of a candidate that the compiled engine evaluated as well.

    Attributes:
        dbt_seconds: Wall time of dbt's evaluation.
        differences: Where dbt gives something else, a sentence each; empty when all is equal.
    """

    dbt_seconds: float
    differences: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Whether both engines give the same metrics, or both fail."""
        return not self.differences

    def document(self) -> dict[str, Any]:
        """Return the comparison as JSON-safe values."""
        return {
            "equal": self.is_equal,
            "dbt_seconds": round(self.dbt_seconds, 3),
            "differences": list(self.differences),
        }


@dataclass(frozen=True)
class Evaluation:
    """What came of one evaluation.

    Attributes:
        study: The study's name.
        values: The candidate.
        metrics: Its metrics; empty when it failed.
        units: Unit of each metric.
        goals: The study's goals, as far as they are resolved.
        failure: Why it failed, for a person; None when it did not.
        from_trial: The trial that it repeats, or None.
        matches_trial: Whether the metrics are exactly those of that trial; None without one.
        trial_metrics: Those of that trial; empty without one.
        differs: Inputs that are others than when it ran, where the metrics do not match.
        seconds: Wall time of the evaluation.
        engine: ``dbt`` or ``compiled``.
        isolation: ``copy`` or ``overlay``.
        comparison: What dbt made of it, when both engines were asked.
        warnings: What the user should know of the number: what the project reads that cannot be
            watched, the clock, what it writes.
    """

    study: str
    values: Mapping[str, Scalar]
    metrics: Mapping[str, float]
    units: Mapping[str, str | None]
    goals: tuple[Goal, ...]
    failure: str | None
    from_trial: int | None
    matches_trial: bool | None
    seconds: float
    engine: str
    isolation: str
    trial_metrics: Mapping[str, float] = field(default_factory=dict)
    differs: tuple[str, ...] = ()
    comparison: EngineComparison | None = None
    warnings: tuple[str, ...] = ()
