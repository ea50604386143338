"""Published trails of made-up studies, through the real storage format and publisher."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from search.audit.assemble import assemble
from search.audit.publish import publish
from search.audit.records import RunRecord
from search.scenario.outcome import EvaluationRequest, Failure, Outcome
from search.storage.attributes import RUN_ID, Conclusion, Proposal
from search.study import StudySpec, study_from_document
from search.study.ranking import loss
from search.study.targets import (
    all_met,
    goals_of,
    resolve_goals,
    variances,
)

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NASTY = "<script>alert('x')</script> & \"quotes\" </style></title>"


def document(*, parameters: int = 3, targets: int = 2, **more: Any) -> dict[str, Any]:
    """Return a study file with so many parameters (one with choices) and targets."""
    parameters: dict[str, Any] = {
        f"lever_{number}": {
            "low": 0.0, "high": 0.08, "current": 0.03, "unit": "fraction",
            "bind": {"var": f"lever_{number}"},
        }
        for number in range(parameters - 1)
    }  # fmt: skip
    parameters["timing"] = {
        "choices": ["january", "anniversary"], "current": "january", "bind": {"var": "timing"},
    }  # fmt: skip
    metrics = {f"metric_{n}": {"sql": "select 1", "unit": "USD"} for n in range(targets)}
    forms: list[dict[str, Any]] = [
        {"value": 50_000_000, "tolerance": 0.02, "priority": "high"},
        {"at_least": 40_000_000},
        {"between": [45_000_000, 52_000_000]},
        {"change": 0.05, "tolerance": 0.01},
        {"at_most": 60_000_000, "tolerance": 0.01},
        {"minimize": True},
        {"value": 0, "tolerance_abs": 1000.0},
    ]
    return {
        "study": "pay",
        "description": "Meet next year's budget",
        "scenario": {"dbt_project": ".", "steps": [{"dbt": {"command": "run"}}]},
        "parameters": parameters,
        "metrics": metrics,
        "targets": {f"metric_{n}": forms[n % len(forms)] for n in range(targets)},
    } | more


def study(**options: Any) -> StudySpec:
    """Return the study of ``document``."""
    return study_from_document(document(**options), file=Path("/studies/pay.yml"))


def trial(
    spec: StudySpec,
    number: int,
    *,
    iteration: int,
    metrics: dict[str, float] | None = None,
    failure: Failure | None = None,
    seed: int = 0,
) -> FrozenTrial:
    """Return one ended trial as the storage would give it back."""
    chance = random.Random(seed * 7919 + number)
    values: dict[str, Any] = {}
    space: dict[str, BaseDistribution] = {}
    for name, one in spec.parameters.items():
        if one.choices is not None:
            space[name] = CategoricalDistribution(one.choices)
            values[name] = one.current if iteration == 0 else chance.choice(one.choices)
        else:
            low, high = one.bounds
            space[name] = FloatDistribution(low, high)
            values[name] = one.current if iteration == 0 else chance.uniform(low, high)
    started = START + timedelta(seconds=20 * number)
    outcome = Outcome(
        EvaluationRequest(number, values),
        metrics=metrics or {},
        failure=failure,
        started_at=started.timestamp(),
        seconds=12.5,
        stage_seconds={"workspace": 0.5, "steps[0]": 11.0, "metrics": 1.0},
        peak_memory_bytes=350_000_000,
        worker="here:17",
    )
    goals = goals_of(spec)
    if metrics:
        goals = resolve_goals(goals, dict.fromkeys(metrics, 55e6))
    conclusion = Conclusion(
        outcomes=[outcome],
        metrics=metrics or {},
        failure=failure,
        variances=variances(goals, metrics) if metrics else {},
        is_all_targets_met=all_met(goals, metrics) if metrics else None,
    )
    proposal = Proposal(values, iteration, details={RUN_ID: "r1"})
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.FAIL if failure else TrialState.COMPLETE,
        value=None,
        values=[loss(goals, metrics)] if metrics else None,
        datetime_start=started.replace(tzinfo=None),
        datetime_complete=(started + timedelta(seconds=12.5)).replace(tzinfo=None),
        params=values,
        distributions=space,
        user_attrs=proposal.attributes(started) | conclusion.attributes(),
        system_attrs={},
        intermediate_values={},
    )


def searched(spec: StudySpec, count: int, *, fail_every: int = 0) -> list[FrozenTrial]:
    """Return trials whose metrics come closer to 50 million."""
    trials = []
    for number in range(count):
        iteration = 0 if number == 0 else 1 + (number - 1) // 4
        if fail_every and number % fail_every == fail_every - 1:
            failure = Failure("step", "Out of range", step="steps[0]", model="model.pay.fct_pay")
            trials.append(trial(spec, number, iteration=iteration, failure=failure))
            continue
        wave = math.cos(number * 1.7) * 6e6 / (1 + number / 4)
        metrics = {name: 50e6 + 5e6 / (1 + number) + wave for name in spec.metrics}
        if number == 0:
            metrics = dict.fromkeys(spec.metrics, 55e6)
        trials.append(trial(spec, number, iteration=iteration, metrics=metrics))
    return trials


def run_record(spec: StudySpec, /, **fields: Any) -> RunRecord:
    """Return a run that ended well, unless the fields say something else."""
    given: dict[str, Any] = {
        "study": "pay",
        "run_id": "r1",
        "state": "finished",
        "started_at": START,
        "finished_at": START + timedelta(seconds=100),
        "base_study": "pay",
        "study_file": "/studies/pay.yml",
        "user_name": "ann",
        "host": "here",
        "spec": spec.to_document(),
        "reason": "max_iterations (10) reached",
        "is_converged": False,
        "wall_seconds": 100.0,
        "startup_seconds": 9.0,
        "peak_memory_bytes": 2_000_000_000,
        "memory_budget_bytes": 8_000_000_000,
        "duckdb_version": "2.0.0",
        "git_commit": "c0ffee" * 6,
        "sampler": "tpe",
        "sampler_seed": 7,
        "engine": "dbt",
        "isolation": "copy",
        "workers": 2,
    }
    return RunRecord(**(given | fields))


def published(folder: Path, spec: StudySpec, trials: Sequence[FrozenTrial], /, **run: Any) -> Path:
    """Publish a trail in the folder and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    record = run_record(spec, **run)
    publish(folder, assemble(trials, [record], spec=spec, study=record.study))
    return folder
