"""The study file's ``search`` and ``resources``: how long to look, and with what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from search.study.mistakes import given, wrong
from search.study.percent import too_wide
from search.study.values import (
    AutoOrCount,
    AutoOrCountFromZero,
    Duration,
    Items,
    Model,
    PathText,
    Size,
    StudyName,
)

Sampler = Literal["auto", "target", "tpe", "random", "grid", "cmaes", "nsga2"]
"""Every sampler that a study file may name."""


PREFERENCES = ("least_change", "center", "none")
"""What ``search.prefer`` may be, beside an expression."""


def _prefer(value: Any) -> Any:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise wrong(
        "must be least_change, center, none or an expression over parameters and metrics to be as "
        f"small as possible, but got {given(value)}"
    )


def _tolerance(value: float) -> float:
    if (text := too_wide(value)) is not None:
        raise wrong(text)
    return value


class SearchSpec(Model):
    """How to search, and when to stop."""

    sampler: Sampler = "auto"
    """`auto` seeks all targets at once (target) when there are numeric ones, else tpe or nsga2."""
    max_iterations: int = Field(default=10, ge=1, le=1_000_000)
    """Batches of trials at most."""
    batch_size: AutoOrCount = "auto"
    """Trials proposed together; auto follows the number of workers and parameters."""
    max_trials: int = Field(default=200, ge=1, le=10_000_000)
    """Evaluations at most, over the study's whole life."""
    timeout: Duration = None
    """Stop proposing after this time, such as 20m or 1h30m; no limit when left out."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Seed of the sampler: the same seed proposes the same candidates."""
    early_stop: bool = True
    """Stop when the targets prove out of reach or nothing better is to come (sampler target)."""
    warm_start: Items[StudyName] = ()
    """Earlier studies whose best candidates are tried first."""
    sensitivity: Literal["auto", "checked", "model", "none"] = "auto"
    """What a step of each parameter does at the winner: the model's word, or evaluated as well."""
    prefer: Annotated[str, BeforeValidator(_prefer)] = Field(
        default="least_change",
        examples=["least_change", "center", "2 * hires + cost / 1e6", "none"],
    )
    """Which of several candidates that meet every target: `least_change` from today's parameters,
    `center` (most room in every tolerance), the least of an expression over parameters and metrics,
    or `none`."""
    polish: int = Field(default=8, ge=0, le=10_000)
    """Evaluations, at most, once all targets are met, to get nearer to what is preferred."""
    confirm_seeds: int | None = Field(default=None, ge=0, le=1000)
    """Fresh values of the replication variable to run the winner under; 20 when left out."""
    retries: int = Field(default=1, ge=0, le=10)
    """How often a trial is tried again after a failure that may pass."""
    allow_dead_parameters: bool = False
    """Search although a parameter reaches no metric; refused otherwise."""
    trial_timeout: Duration = None
    """Time allowed for one evaluation; no limit when left out."""
    prepare_timeout: Duration = 3600.0
    """The longest that preparing may stay at one model or one SQL of the study, such as 10m."""
    tolerance: Annotated[float, AfterValidator(_tolerance)] = Field(default=0.02, gt=0)
    """Relative tolerance of targets that name none."""

    @property
    def timeout_seconds(self) -> float | None:
        """``timeout`` in seconds."""
        return self.timeout

    @property
    def trial_timeout_seconds(self) -> float | None:
        """``trial_timeout`` in seconds."""
        return self.trial_timeout


class ResourcesSpec(Model):
    """What the study may use of the machine."""

    memory_budget: Size = 8_000_000_000
    """Memory of driver, Ray and workers together; KB/MB/GB count in 1000s, KiB/MiB/GiB in 1024s."""
    workers: AutoOrCountFromZero = "auto"
    """Worker processes; auto follows budget and cores, 0 evaluates in the driver's process."""
    min_workers: int | None = Field(default=None, ge=1, le=10_000)
    """On a cluster: workers that must have a place for a study to start; the others join later."""
    workers_per_node: int | None = Field(default=None, ge=1, le=10_000)
    """On a cluster: workers of one node at most; memory_budget is then each node's."""
    threads_per_worker: int = Field(default=1, ge=1, le=256)
    """DuckDB threads of a worker; 1 gives bit-identical results."""
    engine: Literal["auto", "compiled", "dbt"] = "auto"
    """`dbt` runs dbt each time; `compiled` replays its recorded SQL; auto: when that verifies."""
    isolation: Literal["auto", "overlay", "copy"] = "auto"
    """A trial's database: an `overlay` on the shared baseline, or a file `copy`."""
    reuse_results: bool = True
    """Take what this or another study has evaluated already, in place of evaluating it again."""
    scratch: PathText | None = None
    """Folder for temporary databases and spill files; the system's when left out."""

    @property
    def memory_budget_bytes(self) -> int:
        """``memory_budget`` in bytes."""
        return self.memory_budget

    @property
    def requested_workers(self) -> int | None:
        """``workers`` as a number; None is auto."""
        return None if self.workers == "auto" else self.workers


class ResultsSpec(Model):
    """Who may read what the study writes."""

    mode: Literal["private", "group"] = "private"
    """`private`: its user alone (0700, 0600); `group`: the folder's group may read it too."""

    @property
    def is_shared(self) -> bool:
        """Whether the folder's group may read."""
        return self.mode == "group"
