"""What is written with a trial before it is dispatched and after it is done.

``trials`` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from search.scenario.outcome import Failure, Outcome
from search.study.metrics import METRIC_PREFIX
from search.study.values import Scalar

FORMAT_VERSION = 1

RUNS = "runs"
"""Study attribute: run id to the run's record."""
SPEC = "spec"
"""Study attribute: the study file as a document."""
FINGERPRINTS = "fingerprints"
"""Study attribute: what the study's trials depend on."""
INPUTS = "inputs"
"""Study attribute: what was read beside study file and project, and what it held."""
HEAD = "trail_head"
"""Study attribute: number and hash of the last event of the audit trail's log."""

CANDIDATE = "candidate"
ITERATION = "iteration"
LINEAGE = "lineage"
REPLICATIONS = "replications"
DISPATCHED_AT = "dispatched_at"
OUTCOME = "outcome"
ALL_TARGETS_MET = "all_targets_met"
LOSS = "loss"
DEATHS = "deaths"
RUN_ID = "run_id"
"""Names the run that dispatched a trial."""
VARIANCE_PREFIX = "variance:"

FRONTIERS = "frontiers"
"""Study attribute: the points of each frontier that was asked for, by what it varies."""
PROPOSED = "proposed"
CURRENT = "current"
POLISHED = "nearer to what is preferred"
ALTERNATIVE = "another way to meet the targets"
POLISHING = frozenset({POLISHED, ALTERNATIVE})
"""Lineages of what is evaluated once every target is met."""


@dataclass(frozen=True)
class Proposal:
    """A candidate on its way to a worker; all of it is stored before dispatch.

    Attributes:
        values: The candidate: parameter name to value.
        iteration: The iteration that proposed it; 0 is the current parameters.
        lineage: Where it comes from: ``current``, ``proposed``, ``warm start from ...``.
        replications: Values of the replication variable that it is evaluated with;
            empty when the study has none.
        details: Further attributes to store with the trial (the run's id, fingerprints).
    """

    values: Mapping[str, Scalar]
    iteration: int
    lineage: str = PROPOSED
    replications: Sequence[Scalar] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def attributes(self, dispatched_at: datetime) -> dict[str, Any]:
        """Return the trial attributes that make the evaluation repeatable."""
        return {
            **self.details,
            CANDIDATE: dict(self.values),
            ITERATION: self.iteration,
            LINEAGE: self.lineage,
            REPLICATIONS: list(self.replications),
            DISPATCHED_AT: dispatched_at.astimezone(UTC).isoformat(),
        }


@dataclass(frozen=True)
class Conclusion:
    """How a trial ended; failed when ``failure`` is filled, complete otherwise.

    Attributes:
        outcomes: Every evaluation of the trial in the order they ended: replications
            and earlier attempts.
        values: The objective values for Optuna (one loss, or one for each direction);
            empty when failed.
        metrics: Metric name to the value that the trial stands for (over replications).
        variances: Metric name to relative distance from its target, as a fraction.
        is_all_targets_met: Whether every target is met; None when failed.
        failure: Why the trial has no values.
        constraints: Metric name to how far its target is missed, at most 0 when it is met.
        loss: The scalar loss, also when ``values`` are several objectives.
        details: Further attributes to store with the trial.
    """

    outcomes: Sequence[Outcome]
    values: Sequence[float] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    variances: Mapping[str, float] = field(default_factory=dict)
    is_all_targets_met: bool | None = None
    failure: Failure | None = None
    constraints: Mapping[str, float] = field(default_factory=dict)
    loss: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def attributes(self) -> dict[str, Any]:
        """Return the trial attributes that say what came out."""
        return {
            **self.details,
            **{METRIC_PREFIX + name: value for name, value in self.metrics.items()},
            **{VARIANCE_PREFIX + name: value for name, value in self.variances.items()},
            ALL_TARGETS_MET: self.is_all_targets_met,
            LOSS: self.loss,
            OUTCOME: outcome_document(self.outcomes, self.failure),
        }


def outcome_document(outcomes: Sequence[Outcome], failure: Failure | None) -> dict[str, Any]:
    """Return a trial's evaluations as one JSON document.

    Times of the evaluations are summed, their memory peaks are not: they ran apart.
    """
    stage_seconds: dict[str, float] = {}
    for outcome in outcomes:
        for stage, seconds in outcome.stage_seconds.items():
            stage_seconds[stage] = stage_seconds.get(stage, 0.0) + seconds
    last = outcomes[-1] if outcomes else None
    return {
        "format_version": FORMAT_VERSION,
        "state": "complete" if failure is None else "failed",
        "failure": None if failure is None else _failure_document(failure),
        "attempts": max((outcome.request.attempt for outcome in outcomes), default=0),
        "started_at": _moment(min((o.started_at for o in outcomes), default=None)),
        "finished_at": _moment(max((o.started_at + o.seconds for o in outcomes), default=None)),
        "seconds": sum(outcome.seconds for outcome in outcomes),
        "stage_seconds": stage_seconds,
        "peak_memory_bytes": max((outcome.peak_memory_bytes for outcome in outcomes), default=0),
        "worker": last.worker if last else "",
        "engine": last.engine if last else "",
        "isolation": last.isolation if last else "",
        "evaluations": [_evaluation_document(outcome) for outcome in outcomes],
    }


def _evaluation_document(outcome: Outcome) -> dict[str, Any]:
    return {
        "replication": outcome.request.replication,
        "attempt": outcome.request.attempt,
        "metrics": dict(outcome.metrics),
        "failure": None if outcome.failure is None else _failure_document(outcome.failure),
        "started_at": _moment(outcome.started_at),
        "seconds": outcome.seconds,
        "peak_memory_bytes": outcome.peak_memory_bytes,
        "worker": outcome.worker,
    }


def _failure_document(failure: Failure) -> dict[str, Any]:
    return {
        "stage": failure.stage,
        "message": failure.message,
        "step": failure.step,
        "model": failure.model,
        "is_retryable": failure.is_retryable,
    }


def _moment(epoch_seconds: float | None) -> str | None:
    if epoch_seconds is None:
        return None
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat()
