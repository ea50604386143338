"""Every check in order: cheap before dear, the study only when its file is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from search.commands.doctor import disk, environment, project, study, writable_places
from search.commands.doctor.check_result import CheckResult, finding_of, guarded
from search.errors import SearchError
from search.study import StudySpec
from search.study.budget import MemoryPlan
from search.study.percent import unlikely_fractions


def examine(load: Callable[[], StudySpec], results: Path) -> list[CheckResult]:
    """Return everything that was found, each mistake on its own.

    Args:
        load: Reads the study file.
        results: Folder of all results; it need not exist.
    """
    findings = [*guarded("python", environment.python), *guarded("packages", environment.packages)]
    findings += guarded("machine", environment.machine)
    spec = None
    try:
        spec = load()
    except SearchError as error:
        findings += study.spec_mistakes(error)
    except Exception as error:
        findings.append(
            CheckResult("study", "error", f"cannot be read: {type(error).__name__}: {error}")
        )
    needs_ray = spec is None or spec.resources.workers != 0
    findings += guarded("imports", lambda: environment.imports(needs_ray=needs_ray))
    findings += guarded("results", lambda: writable_places.results_folder(results))
    if spec is not None:
        findings += _examine_study(spec, results)
    return findings


def _examine_study(spec: StudySpec, results: Path) -> list[CheckResult]:
    from search.workers.resources import memory_plan

    findings = [
        CheckResult(
            "study",
            "ok",
            f"{spec.study}: {len(spec.parameters)} parameters, {len(spec.metrics)} metrics, "
            f"{len(spec.targets)} targets",
        )
    ]
    findings += [CheckResult("study", "warning", text) for text in unlikely_fractions(spec)]
    plan: MemoryPlan | None = None
    try:
        plan = memory_plan(spec)
    except SearchError as error:
        findings.append(finding_of("memory", error))
    if plan is not None:
        known = plan
        findings += guarded("memory", lambda: study.memory(spec, known))
    findings += guarded("storage", lambda: writable_places.storage(spec, results))
    findings += guarded("lock", lambda: writable_places.lock(spec, results))
    findings += guarded("scratch", lambda: writable_places.scratch(spec))
    check, of_project = project.dbt_project(spec, results, plan)
    findings += of_project
    if plan is not None:
        known = plan
        findings += guarded("disk", lambda: disk.room_for_databases(spec, results, known, check))
    return findings
