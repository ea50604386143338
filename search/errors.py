"""One exception tree: every error that a user can cause or meet.

A message says what must hold, what was given and what to do next. The classes
cross process boundaries (worker to driver), so each one pickles with all of its
fields: constructors take keyword arguments and ``__reduce__`` restores them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_BAD_INPUT = 2
EXIT_NOT_CONVERGED = 3
EXIT_INTERRUPTED = 130


class SearchError(Exception):
    """Root of all errors that scenario-search raises on purpose.

    Args:
        message: What must hold, what was given and what to do.
        fields: Context that a subclass carries (file, key, step, model ...).
    """

    exit_code = EXIT_FAILURE
    kind: ClassVar[str] = "failure"
    """What programs know the class by; it stays when names and texts change."""

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields = {name: value for name, value in fields.items() if value is not None}

    @property
    def code(self) -> str:
        """What programs know the error by (docs/errors.md)."""
        return self.kind

    def document(self) -> dict[str, Any]:
        """Return the error as JSON-safe values: message, code, and where it is."""
        return {
            "failure": str(self),
            "code": self.code,
            "exit_code": self.exit_code,
            "message": self.message,
            **{name: value for name, value in self.fields.items() if name != "is_retryable"},
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.message, self.fields)

    def __str__(self) -> str:
        return self.message


def _restore(kind: type[SearchError], message: str, fields: dict[str, Any]) -> SearchError:
    return kind(message, **fields)


class SpecError(SearchError):
    """The study file is wrong. Carries the ``file`` and the ``key`` path at fault."""

    exit_code = EXIT_BAD_INPUT
    kind = "study_file"

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        key: str | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(message, file=file, key=key, line=line)

    def __str__(self) -> str:
        place = self.fields.get("file", "")
        if place and "line" in self.fields:
            place += f":{self.fields['line']}"
        where = ": ".join(part for part in (place, self.fields.get("key", "")) if part)
        return f"{where}: {self.message}" if where else self.message


class NotVerifiedError(SpecError):
    """What should be applied is not confirmed by real dbt."""

    kind = "not_verified"


class TargetsMissedError(SpecError):
    """What should be applied misses targets."""

    kind = "targets_missed"


class UnknownTrialError(SpecError):
    """There is no such trial, or it is not complete."""

    kind = "unknown_trial"


class ProjectError(SearchError):
    """The dbt project does not parse, or lacks what the study refers to."""

    exit_code = EXIT_BAD_INPUT
    kind = "dbt_project"


class ArgumentError(SearchError):
    """A call from Python is given something of the wrong kind."""

    exit_code = EXIT_BAD_INPUT
    kind = "argument"


class UnsupportedVersionError(SearchError):
    """DuckDB, dbt, Optuna or Ray is installed in a version that does not fit."""

    exit_code = EXIT_BAD_INPUT
    kind = "unsupported_version"


class ExtraMissingError(SearchError):
    """A package is missing that an extra of this one brings."""

    exit_code = EXIT_BAD_INPUT
    kind = "extra_missing"


class PreparationTimeoutError(ProjectError):
    """Preparing stays at one model or one statement of the study for too long."""

    kind = "prepare_timeout"


class BudgetError(SearchError):
    """The memory budget cannot hold what was asked for."""

    exit_code = EXIT_BAD_INPUT
    kind = "memory_budget"


class DatabaseError(SearchError):
    """A database file cannot be used: missing, locked, beside a ``.wal``, unreadable."""

    exit_code = EXIT_BAD_INPUT
    kind = "database"


class StorageError(SearchError):
    """The Optuna storage cannot be opened or written."""

    exit_code = EXIT_BAD_INPUT
    kind = "storage"


class JobError(SearchError):
    """A study cannot be a job of a Ray cluster as asked: upload, place of results, cluster."""

    exit_code = EXIT_BAD_INPUT
    kind = "cluster_job"


class LeaseError(SearchError):
    """Another live driver owns the study."""

    exit_code = EXIT_BAD_INPUT
    kind = "study_locked"


class WorkspaceError(SearchError):
    """A trial's isolated database cannot be made, most often for want of disk."""

    kind = "workspace"


OUTSIDE = "outside"
"""Stage of what would change or reach something outside the scenario's database."""


class ScenarioError(SearchError):
    """A candidate's evaluation failed at a known stage, step and model.

    Args:
        message: What went wrong; dbt's or DuckDB's own words where they say it best.
        stage: One of ``workspace``, ``bind``, ``step``, ``metric``, ``memory``,
            ``timeout``, ``worker``, ``outside``. The last one says that the project or the study
            would change or reach something outside its database: bad input, whatever the values.
        step: The step as the study file counts it, for example ``steps[0] simulation_year=2027``.
        model: The dbt model (or the metric) at fault, when one is.
        is_retryable: Whether the same candidate may succeed when tried again.
    """

    kind = "scenario"

    def __init__(
        self,
        message: str,
        *,
        stage: str,
        step: str | None = None,
        model: str | None = None,
        is_retryable: bool = False,
    ) -> None:
        super().__init__(message, stage=stage, step=step, model=model, is_retryable=is_retryable)
        self.exit_code = EXIT_BAD_INPUT if stage == OUTSIDE else EXIT_FAILURE

    @property
    def code(self) -> str:
        """``scenario_`` and the stage."""
        return scenario_code(self.fields["stage"])

    def __str__(self) -> str:
        where = ", ".join(
            f"{name} {self.fields[name]}" for name in ("step", "model") if name in self.fields
        )
        return f"{where}: {self.message}" if where else self.message


def scenario_code(stage: str) -> str:
    """Return the code of an evaluation that failed at a stage.

    Example:
        >>> scenario_code("memory")
        'scenario_memory'
    """
    return f"{ScenarioError.kind}_{stage}"


class RecordingError(SearchError):
    """A scenario cannot be compiled into a program; the message names why.

    Attributes:
        evaluated: Candidates that dbt evaluated before that was known, with their metrics.
    """

    kind = "recording"
    evaluated: Sequence[Any] = ()


class AuditError(SearchError):
    """The audit trail cannot be written or read, or does not verify."""

    kind = "audit_trail"


class ResultsMissingError(AuditError):
    """A command that reads what a study found has found nothing."""

    exit_code = EXIT_BAD_INPUT
    kind = "results_missing"


class WorkerError(SearchError):
    """The worker pool cannot start or keep workers alive."""

    kind = "workers"


class StudyFailedError(SearchError):
    """Every trial failed, so that the search cannot go on."""

    kind = "study_failed"
