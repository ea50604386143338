"""The study file: its mistakes, and what its memory budget comes to."""

from __future__ import annotations

from collections.abc import Iterator

from search.commands.doctor.check_result import CheckResult, finding_of
from search.errors import SearchError, SpecError
from search.study import StudySpec
from search.study.budget import MemoryPlan, format_bytes


def spec_mistakes(error: SearchError) -> list[CheckResult]:
    """Return each mistake of a study file, which come in one error, a line each."""
    if not isinstance(error, SpecError):
        return [finding_of("study", error)]
    advice = "see `scenario-search schema` for what a study file may hold"
    lines = str(error).splitlines() or [str(error)]
    findings = [CheckResult("study", "error", line) for line in lines[:-1]]
    return [*findings, CheckResult("study", "error", lines[-1], advice)]


def memory(spec: StudySpec, plan: MemoryPlan) -> Iterator[CheckResult]:
    who = f"{plan.workers} worker{'s' if plan.workers > 1 else ''}"
    who = who if plan.workers else "the driver itself evaluates"
    yield CheckResult(
        "memory",
        "ok",
        f"budget {format_bytes(plan.budget_bytes)}: {who}, DuckDB memory_limit "
        f"{format_bytes(plan.duckdb_memory_limit_bytes)} and {spec.resources.threads_per_worker} "
        f"thread each, {format_bytes(plan.total_bytes)} at the peak: {_shares(plan)}",
    )
    wanted = spec.resources.memory_budget
    if plan.budget_bytes < wanted:
        yield CheckResult(
            "memory",
            "warning",
            f"resources.memory_budget is {format_bytes(wanted)}, but only "
            f"{format_bytes(plan.budget_bytes)} are free now; the study takes no more than that",
            "free memory or lower resources.memory_budget, so that every run is the same",
        )
    from search.system.memory import cores

    requested = spec.resources.workers
    lanes = max(1, cores() // spec.resources.threads_per_worker)
    if isinstance(requested, int) and requested > lanes:
        yield CheckResult(
            "memory",
            "warning",
            f"resources.workers is {requested}, but the cores feed only {lanes} of them",
            "use `workers: auto`",
        )
    if requested == "auto" and plan.workers < lanes:
        yield CheckResult(
            "memory",
            "warning",
            f"the cores would feed {lanes} workers, but the budget holds only {plan.workers}",
            "raise resources.memory_budget to search faster",
        )


def _shares(plan: MemoryPlan) -> str:
    """Return who may take what, and what happens to a worker that takes more."""
    from search.workers.watchdog import data_limit_bytes

    share = format_bytes(plan.per_worker_bytes)
    if plan.workers == 0:
        return f"{share} for evaluating, {format_bytes(plan.reserved_bytes)} for the rest"
    limit = format_bytes(data_limit_bytes(plan.per_worker_bytes))
    return (
        f"{share} a worker and {format_bytes(plan.reserved_bytes)} for driver and Ray; beyond the "
        f"budget the trial of the worker most beyond its share ends, and no worker may allocate "
        f"more than {limit}"
    )
