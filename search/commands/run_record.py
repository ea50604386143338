"""What the trail says of a run itself: what it was made of, and how it ended."""

from __future__ import annotations

import uuid
from typing import Any

from search.audit.records import RunRecord
from search.commands.run_session import Session
from search.driver.engine import Engine
from search.driver.results import RunResult
from search.sampling.choice import choose_sampler
from search.storage.database import masked
from search.storage.versions import StudyVersion
from search.study import StudySpec
from search.system.provenance import git_state, versions, who


def run_record(
    spec: StudySpec, version: StudyVersion, session: Session, engine: Engine
) -> RunRecord:
    """Return the record of a run that begins."""
    fingerprints, memory = session.fingerprints, session.memory
    person = who()
    git = git_state(spec.file)
    known = {
        "study": version.name,
        "run_id": uuid.uuid4().hex[:12],
        "started_at": session.started_at,
        "base_study": version.base_name,
        "study_version": version.version,
        "study_file": str(spec.file),
        "user_name": person.user_name,
        "host": person.host,
        "pid": person.pid,
        "spec": spec.to_document(),
        "spec_fingerprint": fingerprints["spec"],
        "project_fingerprint": fingerprints["project"],
        "baseline_fingerprint": fingerprints["baseline"],
        "git_commit": git.commit if git else None,
        "git_is_dirty": git.is_dirty if git else None,
        "engine": engine.name,
        "isolation": engine.isolation,
        "sampler": choose_sampler(spec).name,
        "sampler_seed": spec.search.seed,
        "workers": memory.workers,
        "threads_per_worker": spec.resources.threads_per_worker,
        "memory_budget_bytes": memory.budget_bytes,
        "storage_url": masked(session.storage.url),
        "checks": list(session.tables) or None,
    }
    return RunRecord.model_validate(known | versions())


def ending(result: RunResult) -> dict[str, Any]:
    """Return the fields of the run's record that are known at its end."""
    end, verification = result.end, result.verification
    return {
        "reason": result.reason,
        "reason_code": result.reason_code,
        "is_converged": result.is_converged,
        "iterations": end.iterations,
        "trials": end.trials,
        "failed_trials": end.failed_trials,
        "best_trial": end.best.number if end.best else None,
        "is_verified": result.is_verified,
        "is_metrics_verified": result.is_metrics_verified,
        "verification": None if verification is None else verification.document(),
        "warnings": list(result.warnings),
        "peak_memory_bytes": result.peak_memory_bytes,
        "startup_seconds": result.startup_seconds,
        "wall_seconds": result.wall_seconds,
        "appraisal": dict(result.appraisal),
    }
