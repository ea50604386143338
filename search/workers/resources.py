"""What a study takes of this machine: memory, cores, scratch folders."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.plan import ScenarioPlan
from search.scenario.setting import PreparationLimits
from search.study import StudySpec
from search.study.budget import MemoryPlan, effective_budget, format_bytes, plan_memory
from search.system.memory import available_memory_bytes, cores


def memory_plan(spec: StudySpec, *, baseline_bytes: int = 0) -> MemoryPlan:
    """Return how this machine's memory and cores are shared out for a study.

    Raises:
        BudgetError: If not one worker fits.
    """
    resources = spec.resources
    # Without a cluster all workers are on this machine.
    per_node = resources.workers_per_node if os.environ.get("RAY_ADDRESS") else None
    plan = plan_memory(
        budget_bytes=effective_budget(resources.memory_budget, available_memory_bytes(), None),
        requested_workers=per_node or resources.requested_workers,
        cores=cores(),
        threads_per_worker=resources.threads_per_worker,
        baseline_bytes=baseline_bytes,
    )
    if per_node is None:
        return plan
    assert resources.workers != "auto", "checked with the study file"
    return replace(plan, workers=resources.workers, workers_per_node=per_node)


def scratch_parent(spec: StudySpec) -> Path | None:
    """Return where the study's scratch folders go; None for the system's temp folder."""
    scratch = spec.resources.scratch
    return spec.resolve_path(scratch) if scratch else None


def preparation_limits(spec: StudySpec, memory: MemoryPlan) -> PreparationLimits:
    """Return what preparing may take: a worker's memory, and all cores while no worker runs."""
    return PreparationLimits(
        memory_limit_bytes=memory.duckdb_memory_limit_bytes,
        max_temp_bytes=memory.max_temp_bytes,
        threads=cores(),
        scratch_parent=scratch_parent(spec),
    )


def dbt_processes(memory: MemoryPlan) -> int:
    """Return how many processes may run dbt at the same time, beside the workers: 1 or 2."""
    return max(1, min(2, memory.workers, cores()))


def evaluator_factory(
    spec: StudySpec, plan: ScenarioPlan, memory: MemoryPlan
) -> DbtEvaluatorFactory:
    """Return what makes the evaluator of a worker."""
    return DbtEvaluatorFactory(
        plan=plan,
        memory_limit_bytes=memory.duckdb_memory_limit_bytes,
        max_temp_bytes=memory.max_temp_bytes,
        threads=spec.resources.threads_per_worker,
        scratch_parent=scratch_parent(spec),
    )


def memory_text(memory: MemoryPlan) -> str:
    """Return the memory plan in a sentence."""
    who_evaluates = {0: "the driver itself", 1: "1 worker"}.get(
        memory.workers, f"{memory.workers} workers, each"
    )
    where = "" if memory.workers_per_node is None else " a node"
    return (
        f"memory budget {format_bytes(memory.budget_bytes)}{where}: {who_evaluates} with a DuckDB "
        f"limit of {format_bytes(memory.duckdb_memory_limit_bytes)}"
    )
