"""What travels between the driver and a worker: the request and its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from search.study.values import Scalar


@dataclass(frozen=True)
class EvaluationRequest:
    """One candidate to evaluate, once.

    Attributes:
        trial: Number of the Optuna trial, from 0.
        values: The candidate: parameter name to value.
        replication: Value of the study's replication variable (a random seed), or
            None when the study has no replications.
        attempt: 1 at first, counted up when the trial is tried again.
    """

    trial: int
    values: Mapping[str, Scalar]
    replication: Scalar | None = None
    attempt: int = 1


@dataclass(frozen=True)
class Failure:
    """Why an evaluation has no metrics.

    Attributes:
        stage: ``workspace``, ``bind``, ``step``, ``metric``, ``memory``, ``timeout``,
            ``worker`` or ``outside``.
        message: For a person, without traceback.
        step: The step of the scenario, when one was running.
        model: The dbt model or metric at fault, when one is.
        is_retryable: Whether the same request may succeed when tried again.
    """

    stage: str
    message: str
    step: str | None = None
    model: str | None = None
    is_retryable: bool = False


def failure_text(failure: Failure) -> str:
    """Return a failure for people: where, and why.

    Example:
        >>> failure_text(Failure("step", "division by zero", step="steps[0]", model="model.a.b"))
        'steps[0], model.a.b: division by zero'
    """
    where = ", ".join(part for part in (failure.step, failure.model) if part)
    return f"{where}: {failure.message}" if where else failure.message


@dataclass(frozen=True)
class Outcome:
    """The result of one request; exactly one of metrics and failure is filled.

    Attributes:
        request: What was asked.
        metrics: Metric name to finite value; empty when failed.
        failure: Why there are no metrics; None when there are.
        started_at: Seconds since the epoch (UTC).
        seconds: Wall time of the evaluation.
        stage_seconds: Wall time by stage (``workspace``, ``bind``, each step's name,
            ``metrics``), in seconds; sums to about ``seconds``.
        peak_memory_bytes: Peak resident memory of the worker's process in this evaluation.
        worker: ``host:pid`` of the process that evaluated.
        engine: ``dbt`` or ``compiled``.
        isolation: ``copy`` or ``overlay``.
    """

    request: EvaluationRequest
    metrics: Mapping[str, float] = field(default_factory=dict)
    failure: Failure | None = None
    started_at: float = 0.0
    seconds: float = 0.0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory_bytes: int = 0
    worker: str = ""
    engine: str = "dbt"
    isolation: str = "copy"

    @property
    def is_complete(self) -> bool:
        """Whether the evaluation yielded its metrics."""
        return self.failure is None
