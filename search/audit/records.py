"""One frozen record for each row of the audit trail; the tables' columns follow from them.

A field's description becomes the column's comment, its type the column's type
(``schema.py``). A field added later needs a default, so that older files stay readable.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from search.audit.canonical import parsed

FORMAT_VERSION = 1

# Nested values are JSON text in the tables and plain Python values in a record.
Json = Annotated[Any, BeforeValidator(parsed)]


class Record(BaseModel):
    """A row of the trail. Unknown fields are ignored: a newer version may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format_version: int = Field(
        default=FORMAT_VERSION, description="Version of the row's format; 1 at first"
    )
    study: str = Field(description="Name of the study in the storage, version included")


class RunRecord(Record):
    """One start of the driver for a study, from its beginning to its end."""

    run_id: str = Field(description="Identifies the run")
    state: str = Field(default="running", description="running, finished, interrupted or failed")
    started_at: AwareDatetime = Field(description="When the driver started (UTC)")
    finished_at: AwareDatetime | None = Field(
        default=None, description="When it ended (UTC); null if not"
    )
    base_study: str | None = Field(default=None, description="Name of the study in the study file")
    study_version: int = Field(
        default=1, description="Version of the study; changed inputs start another"
    )
    study_file: str | None = Field(default=None, description="Path of the study file")
    user_name: str | None = Field(default=None, description="Who started the run")
    host: str | None = Field(default=None, description="Where the driver ran")
    pid: int | None = Field(default=None, description="Process id of the driver")
    spec: Json = Field(default=None, description="The whole study specification")
    spec_fingerprint: str | None = Field(
        default=None, description="Hash of the study specification"
    )
    project_fingerprint: str | None = Field(default=None, description="Hash of the dbt project")
    baseline_fingerprint: str | None = Field(
        default=None, description="Hash of the baseline database"
    )
    program_fingerprint: str | None = Field(
        default=None, description="Hash of the compiled program"
    )
    git_commit: str | None = Field(
        default=None, description="Commit of the study file's repository"
    )
    git_is_dirty: bool | None = Field(
        default=None, description="Whether it had uncommitted changes"
    )
    scenario_search_version: str | None = Field(
        default=None, description="Version of scenario-search"
    )
    dbt_core_version: str | None = Field(default=None, description="Version of dbt-core")
    dbt_duckdb_version: str | None = Field(default=None, description="Version of dbt-duckdb")
    duckdb_version: str | None = Field(default=None, description="Version of DuckDB")
    optuna_version: str | None = Field(default=None, description="Version of Optuna")
    ray_version: str | None = Field(default=None, description="Version of Ray")
    python_version: str | None = Field(default=None, description="Version of Python")
    engine: str | None = Field(
        default=None, description="dbt (reference) or compiled (replayed SQL)"
    )
    isolation: str | None = Field(default=None, description="copy or overlay")
    sampler: str | None = Field(default=None, description="What proposed the candidates")
    sampler_seed: int | None = Field(default=None, description="Seed of the sampler")
    workers: int | None = Field(default=None, description="Parallel workers")
    threads_per_worker: int | None = Field(default=None, description="DuckDB threads of a worker")
    memory_budget_bytes: int | None = Field(
        default=None, description="Memory budget of the study, bytes"
    )
    peak_memory_bytes: int | None = Field(
        default=None, description="Highest memory of the run, bytes"
    )
    startup_seconds: float | None = Field(
        default=None, description="Start to first dispatch, seconds"
    )
    wall_seconds: float | None = Field(default=None, description="Start to end, seconds")
    iterations: int | None = Field(
        default=None, description="Iterations that the study has completed"
    )
    trials: int | None = Field(default=None, description="Trials of the study so far")
    failed_trials: int | None = Field(default=None, description="Of these, failed ones")
    is_converged: bool | None = Field(default=None, description="Whether all targets are met")
    is_verified: bool | None = Field(
        default=None, description="Whether the reference engine confirmed the winner"
    )
    is_metrics_verified: bool | None = Field(
        default=None, description="Whether the winner's metrics are real dbt's"
    )
    verification: Json = Field(
        default=None,
        description="What real dbt said of the winner: metrics that differ, tests by name",
    )
    best_trial: int | None = Field(default=None, description="Number of the best trial")
    reason: str | None = Field(default=None, description="Why the run ended, for a person")
    reason_code: str | None = Field(
        default=None, description="The same for programs: targets_met, or see docs/errors.md"
    )
    storage_url: str | None = Field(default=None, description="Optuna storage, password masked")
    checks: Json = Field(
        default=None, description="What the checks of the study file showed of its data"
    )
    warnings: Json = Field(default=None, description="What the user should know, in sentences")
    appraisal: Json = Field(
        default=None,
        description="What was found out at the end: diagnosis, effects, confirmation, front",
    )


class TrialRecord(Record):
    """One trial: what was evaluated, by whom, how long it took and what went wrong."""

    trial: int = Field(description="Number of the trial in the study, from 0")
    run_id: str | None = Field(default=None, description="The run that dispatched it")
    iteration: int | None = Field(
        default=None, description="The iteration that proposed it; 0 is the current parameters"
    )
    state: str = Field(description="running, waiting (to be taken up), complete or failed")
    lineage: str | None = Field(
        default=None,
        description="proposed, current, 'retry of trial 4', 'resumption of trial 4' ...",
    )
    parent_trial: int | None = Field(
        default=None, description="The trial that the lineage refers to"
    )
    dispatched_at: AwareDatetime | None = Field(
        default=None, description="When it was stored (UTC)"
    )
    started_at: AwareDatetime | None = Field(
        default=None, description="When evaluation began (UTC)"
    )
    finished_at: AwareDatetime | None = Field(
        default=None, description="When evaluation ended (UTC)"
    )
    candidate: Json = Field(default=None, description="Parameter values, exactly")
    replications: Json = Field(
        default=None, description="Values of the replication variable (seeds)"
    )
    loss: float | None = Field(
        default=None, description="Objective that the sampler minimises; 0 when all targets are met"
    )
    objective_values: Json = Field(
        default=None, description="All objective values, when there are several"
    )
    is_all_targets_met: bool | None = Field(default=None, description="Whether every target is met")
    attempts: int | None = Field(
        default=None, description="Evaluations tried for one replication, most"
    )
    seconds: float | None = Field(
        default=None, description="Evaluation time over replications, seconds"
    )
    stage_seconds: Json = Field(default=None, description="Evaluation time by stage, seconds")
    peak_memory_bytes: int | None = Field(default=None, description="Highest worker memory, bytes")
    worker: str | None = Field(default=None, description="host:pid of the last worker")
    engine: str | None = Field(default=None, description="dbt or compiled")
    isolation: str | None = Field(default=None, description="copy or overlay")
    error_stage: str | None = Field(
        default=None, description="Where it failed: step, metric, memory ..."
    )
    error_step: str | None = Field(default=None, description="The scenario's step that failed")
    error_model: str | None = Field(default=None, description="The dbt model or metric that failed")
    error_message: str | None = Field(default=None, description="Why it failed, for a person")
    error_code: str | None = Field(
        default=None, description="Why it failed, for programs (docs/errors.md)"
    )
    evaluations: Json = Field(
        default=None,
        description="Each evaluation: replication, attempt, metrics, seconds, worker, failure",
    )
    details: Json = Field(
        default=None, description="What else was stored with it, fingerprints included"
    )


class TrialParameter(Record):
    """One parameter's value in one trial."""

    trial: int = Field(description="Number of the trial")
    parameter: str = Field(description="Name of the parameter")
    value: float | None = Field(
        default=None, description="The value in the parameter's unit; null if text"
    )
    value_text: str = Field(description="The value as text, exactly")
    value_type: str = Field(description="float, int, bool or str")
    unit: str | None = Field(default=None, description="Unit of the value")
    low: float | None = Field(
        default=None, description="Least allowed value, in the parameter's unit"
    )
    high: float | None = Field(
        default=None, description="Greatest allowed value, in the parameter's unit"
    )
    step: float | None = Field(
        default=None, description="Grid step, in the parameter's unit; null if none"
    )
    choices: Json = Field(default=None, description="Allowed values, when they are listed")


class TrialMetric(Record):
    """One metric's value in one trial, against its target."""

    trial: int = Field(description="Number of the trial")
    metric: str = Field(description="Name of the metric")
    value: float | None = Field(
        default=None, description="What the scenario yielded, in the metric's unit"
    )
    unit: str | None = Field(default=None, description="Unit of the metric")
    target_kind: str | None = Field(
        default=None, description="equal, at_most, between, minimize ..."
    )
    target: float | None = Field(default=None, description="Wanted value, in the metric's unit")
    target_low: float | None = Field(
        default=None, description="Least wanted value, in the metric's unit"
    )
    target_high: float | None = Field(
        default=None, description="Largest wanted value, in the metric's unit"
    )
    tolerance: float | None = Field(
        default=None,
        description="Accepted distance: fraction of the target, or in the metric's unit",
    )
    is_relative_tolerance: bool | None = Field(default=None, description="Whether it is a fraction")
    priority: str | None = Field(default=None, description="Priority as in the study file")
    weight: float | None = Field(default=None, description="Weight of the target in the loss")
    variance: float | None = Field(
        default=None,
        description="metric / target - 1, a fraction; 0 within a bound; distance if target 0",
    )
    is_met: bool | None = Field(
        default=None, description="Whether the target is met; null without one"
    )


class TrialEvent(Record):
    """One line of the event log."""

    sequence: int = Field(description="Position in the log, from 1, without gaps")
    at: AwareDatetime = Field(description="When it happened (UTC)")
    kind: str = Field(description="run_started, trial_dispatched, trial_finished ...")
    run_id: str | None = Field(default=None, description="The run that it belongs to")
    iteration: int | None = Field(default=None, description="The iteration that it belongs to")
    trial: int | None = Field(default=None, description="The trial that it belongs to")
    fields: Json = Field(default=None, description="What else was noted")


class IterationRecord(Record):
    """One batch of trials proposed together, and the best known after it."""

    iteration: int = Field(description="Number of the iteration; 0 is the current parameters")
    started_at: AwareDatetime | None = Field(default=None, description="First dispatch (UTC)")
    finished_at: AwareDatetime | None = Field(default=None, description="Last end (UTC)")
    trials: int = Field(description="Trials of the iteration")
    complete_trials: int = Field(description="Of these, complete ones")
    failed_trials: int = Field(description="Of these, failed ones")
    best_trial: int | None = Field(default=None, description="Best trial of the iteration")
    best_loss: float | None = Field(default=None, description="Its objective value")
    best_parameters: Json = Field(default=None, description="Its parameter values")
    best_variances: Json = Field(default=None, description="Its variances by metric, as fractions")
    is_all_targets_met: bool | None = Field(
        default=None, description="Whether it meets every target"
    )
    best_trial_so_far: int | None = Field(
        default=None, description="Best trial up to this iteration"
    )
    best_loss_so_far: float | None = Field(default=None, description="Its objective value")


class BestParameter(Record):
    """One parameter's value in the study's best trial."""

    run_id: str | None = Field(default=None, description="The run that dispatched the trial")
    trial: int = Field(description="Number of the best trial")
    parameter: str = Field(description="Name of the parameter")
    value: float | None = Field(
        default=None, description="The value in the parameter's unit; null if text"
    )
    value_text: str = Field(description="The value as text, exactly")
    value_type: str = Field(description="float, int, bool or str")
    unit: str | None = Field(default=None, description="Unit of the value")
    loss: float | None = Field(default=None, description="Objective value of the trial")
    is_all_targets_met: bool | None = Field(
        default=None, description="Whether it meets every target"
    )


class PlanAlternative(Record):
    """One parameter's value in another plan that meets every target."""

    alternative: int = Field(description="1 differs most from the best trial")
    name: str = Field(description="How it differs from the best trial, in words")
    trial: int = Field(description="Number of the trial that it is")
    differs_ranges: float = Field(
        description="Distance from the best trial: ranges of parameters, summed"
    )
    parameter: str = Field(description="Name of the parameter")
    value: float | None = Field(
        default=None, description="The value in the parameter's unit; null if text"
    )
    value_text: str = Field(description="The value as text, exactly")
    value_type: str = Field(description="float, int, bool or str")
    unit: str | None = Field(default=None, description="Unit of the value")


class PlanFuture(Record):
    """One metric of the best trial under one random seed."""

    trial: int = Field(description="Number of the best trial")
    seed: str = Field(description="Value of the replication variable, as text")
    is_searched: bool = Field(description="Whether the search saw the trial under this seed")
    metric: str = Field(description="Name of the metric")
    value: float = Field(description="The value in the metric's unit")
    unit: str | None = Field(default=None, description="Unit of the value")
    is_all_targets_met: bool = Field(description="Whether all targets are met under this seed")


class FrontierPlan(Record):
    """One number of the plan at one point of a frontier: a parameter's or a metric's."""

    frontier: str = Field(description="What was varied: metric=low:high:count, two for a map")
    point: int = Field(description="From 1, in the order of what was varied")
    levels: Json = Field(description="Metric to the value that its target has at the point")
    is_met: bool = Field(description="Whether the plan meets every target")
    reason: str | None = Field(default=None, description="Why the point is not reached")
    trial: int | None = Field(
        default=None, description="Number of the trial that the plan is; null for a new candidate"
    )
    new_evaluations: int = Field(description="Candidates that were evaluated for the point")
    kind: str = Field(description="parameter or metric")
    name: str = Field(description="Name of the parameter or metric")
    value: float | None = Field(default=None, description="The value in its unit; null if text")
    value_text: str = Field(description="The value as text, exactly")
    value_type: str = Field(description="float, int, bool or str")
    unit: str | None = Field(default=None, description="Unit of the value")


class ParameterSetRecord(Record):
    """One applied choice of parameter values."""

    parameter_set: str = Field(description="Name of the parameter set")
    version: int = Field(description="Version of the set; 0 is what was found before the first")
    run_id: str | None = Field(default=None, description="The run that produced it")
    trial: int | None = Field(default=None, description="The trial that it was taken from")
    parameters: Json = Field(default=None, description="Parameter values, exactly")
    is_active: bool = Field(default=False, description="Whether dbt runs use it now")
    applied_at: AwareDatetime | None = Field(default=None, description="When it was applied (UTC)")
    applied_by: str | None = Field(default=None, description="Who applied it")
    reason: str | None = Field(default=None, description="Why, for a person")
    origin: str | None = Field(
        default=None, description="A trial, given values, a rollback, or what was found"
    )


def value_columns(value: Any) -> dict[str, Any]:
    """Return a parameter's value as number, text and type."""
    is_number = isinstance(value, (bool, int, float))
    text = value if isinstance(value, str) else repr(value).lower()
    return {
        "value": float(value) if is_number else None,
        "value_text": text,
        "value_type": type(value).__name__,
    }
