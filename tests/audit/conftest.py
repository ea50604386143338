"""A small study in a real storage, and its trail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import optuna
import pytest

from search.audit.assemble import assemble_records
from search.audit.events import EventLog, read_events
from search.audit.records import RunRecord
from search.audit.schema import AuditTables
from search.scenario.outcome import EvaluationRequest, Failure, Outcome
from search.storage.attributes import Conclusion, Proposal
from search.storage.database import open_storage
from search.storage.study_store import StudyStore
from search.study.ranking import loss
from search.study.targets import Goal, all_met, variances

SPACE = {
    "merit": optuna.distributions.FloatDistribution(0.0, 0.08),
    "timing": optuna.distributions.CategoricalDistribution(["january", 'it\'s "late"']),
}
GOALS = (
    Goal("cost", "equal", value=50.0, tolerance=0.02, weight=4.0, unit="USD"),
    Goal("growth", "at_most", high=0.03, tolerance=0.0),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def store(folder: Path) -> Iterator[StudyStore]:
    storage = open_storage(f"sqlite:///{folder / 'study.db'}")
    yield StudyStore.create_or_load(storage, "pay")
    storage.engine.dispose()


@pytest.fixture
def run() -> RunRecord:
    return RunRecord(
        study="pay",
        run_id="r1",
        started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        spec={"study": "pay"},
        project_fingerprint="p1",
        duckdb_version="2.0.0",
    )


def evaluate(
    store: StudyStore, log: EventLog, *, merit: float, iteration: int, cost: float
) -> None:
    """One complete trial."""
    proposal = Proposal(
        {"merit": merit, "timing": 'it\'s "late"'},
        iteration=iteration,
        replications=(11,),
        details={"run_id": "r1", "program_fingerprint": "f1"},
    )
    (number,) = store.start([proposal], SPACE)
    log.append("trial_dispatched", trial=number, iteration=iteration)
    metrics = {"cost": cost, "growth": 0.02, "headcount": 7.0}
    outcome = Outcome(
        EvaluationRequest(number, proposal.values, replication=11),
        metrics=metrics,
        started_at=1_700_000_000.5,
        seconds=1.5,
        stage_seconds={"bind": 0.5, "step": 1.0},
        peak_memory_bytes=2**30,
        worker="here:1",
        engine="compiled",
        isolation="overlay",
    )
    store.finish(
        number,
        Conclusion(
            outcomes=[outcome],
            values=[loss(GOALS, metrics)],
            metrics=metrics,
            variances=variances(GOALS, metrics),
            is_all_targets_met=all_met(GOALS, metrics),
        ),
    )
    log.append("trial_finished", trial=number, iteration=iteration)


@pytest.fixture
def study(store: StudyStore, folder: Path) -> StudyStore:
    """Two iterations: four complete trials, a failed one, its retry still running."""
    with EventLog(folder, study="pay", run_id="r1") as log:
        log.append("run_started")
        for merit, cost in ((0.035, 40.0), (0.04, 45.0)):
            evaluate(store, log, merit=merit, iteration=0, cost=cost)
        for merit, cost in ((0.05, 50.5), (0.1 + 0.2 - 0.25, 60.0)):
            evaluate(store, log, merit=merit, iteration=1, cost=cost)
        values = {"merit": 0.08, "timing": "january"}
        (number,) = store.start([Proposal(values, 1, details={"run_id": "r1"})], SPACE)
        failure = Failure("step", "it's too much", step="steps[0]", model="fct_pay")
        failed = Outcome(EvaluationRequest(number, values), failure=failure, started_at=1.7e9)
        store.finish(number, Conclusion(outcomes=[failed], failure=failure))
        store.start([Proposal(values, 1, lineage=f"retry of trial {number}")], SPACE)
    return store


@pytest.fixture
def assembled(study: StudyStore, folder: Path, run: RunRecord) -> Callable[[], AuditTables]:
    """Assembles the study's trail as it is now."""
    return lambda: assemble_records(
        study.trials(),
        [run],
        study="pay",
        goals=GOALS,
        parameter_units={"merit": "fraction"},
        metric_units={"headcount": "people"},
        events=read_events(folder),
    )
