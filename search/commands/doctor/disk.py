"""Disk: that the databases of all workers fit."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from search.commands.doctor.check_result import CheckResult
from search.commands.doctor.writable_places import nearest_existing
from search.study import StudySpec
from search.study.budget import MemoryPlan, format_bytes


def room_for_databases(
    spec: StudySpec, results: Path, plan: MemoryPlan, check: Any
) -> Iterator[CheckResult]:
    from search.study.layout import Layout
    from search.workers.resources import scratch_parent

    baseline = check.baseline_bytes if check is not None else None
    source = "the cached baseline"
    if baseline is None:
        baseline, source = _baseline_guess(spec, Layout(results, spec.study).baselines)
    workers = max(1, plan.workers)
    scratch = nearest_existing(scratch_parent(spec) or Path(tempfile.gettempdir()))
    home = nearest_existing(results)
    is_same = os.stat(scratch).st_dev == os.stat(home).st_dev
    copies = baseline * workers
    free = shutil.disk_usage(scratch).free
    needed = copies + (baseline if is_same else 0)
    sized = f"{workers + is_same} databases of {format_bytes(baseline)} each ({source})"
    sized = sized if baseline else f"{workers + is_same} databases ({source})"
    advice = "free space there, or name a folder on another disk with resources.scratch"
    if free < needed:
        message = f"{scratch} must hold {sized}, but has only {format_bytes(free)} free"
        yield CheckResult("disk", "error", message, advice)
        return
    spill = plan.max_temp_bytes * workers
    if free - needed < plan.duckdb_memory_limit_bytes * workers:
        yield CheckResult(
            "disk",
            "warning",
            f"{scratch} has {format_bytes(free)} free; beside {sized} that leaves little for "
            f"queries that do not fit in memory (they may spill up to {format_bytes(spill)})",
            advice,
        )
    else:
        yield CheckResult(
            "disk",
            "ok",
            f"{scratch} has {format_bytes(free)} free for {sized} and for spilled data "
            f"(at most {format_bytes(spill)})",
        )
    if not is_same and shutil.disk_usage(home).free < baseline:
        left = format_bytes(shutil.disk_usage(home).free)
        message = f"{home} must hold a baseline of {format_bytes(baseline)}, but has {left} free"
        yield CheckResult("disk", "error", message, "free space there, or use another --results")


def _baseline_guess(spec: StudySpec, cache: Path) -> tuple[int, str]:
    """Return what is known of the size of a baseline that is not built yet, in bytes."""
    if spec.scenario.database is not None:
        database = spec.resolve_path(spec.scenario.database)
        if database.is_file():
            return database.stat().st_size, "scenario.database; what setup adds is not known yet"
    sizes = []
    for record in cache.glob("*/baseline.json"):
        try:
            sizes.append(int(json.loads(record.read_text())["size_bytes"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    if sizes:
        return max(sizes), "the largest one in the cache; this study's is not built yet"
    return 0, "not built yet, so its size is not known"
