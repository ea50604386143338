"""What the driver costs beside the evaluations: its own time a trial, and how busy workers are.

Candidates are synthetic (a formula, or a sleep), everything else is real: driver, sampler,
storage, spool, event log, publication, and Ray workers.

    python benchmarks/scheduling.py                              # driver time at 1,000 trials
    python benchmarks/scheduling.py --workers 32 --sleep 1 --trials 320
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.audit.records import RunRecord
from search.driver.loop import Driver
from search.driver.progress import SilentProgress
from search.driver.recorder import StudyRecorder
from search.scenario.evaluator import Evaluator, StageClock
from search.scenario.outcome import EvaluationRequest
from search.storage.database import open_storage
from search.storage.study_store import StudyStore
from search.study import StudySpec, study_from_document
from search.study.ranking import directions
from search.study.space import current_candidate
from search.study.targets import goals_of
from search.workers import WorkerPool, make_pool
from search.workers.spool import Spool

SECTIONS: tuple[tuple[type, str, str], ...] = (
    (StudyStore, "ask_all", "propose and store"),
    (StudyStore, "finish_all", "store the outcome"),
    (StudyRecorder, "event", "event log"),
    (StudyRecorder, "event_batch", "event log"),
    (StudyRecorder, "publish", "publish the trail"),
    (Spool, "write", "spool, a worker's part"),
    (Spool, "outcomes", "spool"),
    (Spool, "forget", "spool"),
)
"""Methods whose time is told apart, with what they are called in the table."""

WARM_UP = -1
"""Number of the trial that is evaluated until every worker has answered."""


@dataclass(frozen=True)
class Sleeper:
    """Makes evaluators of a linear formula that take a fixed time. Travels by pickle.

    Attributes:
        seconds: That an evaluation takes.
    """

    seconds: float

    def __call__(self) -> Evaluator:
        """Return a new evaluator."""
        return _SleepingEvaluator(self.seconds)


class _SleepingEvaluator(Evaluator):
    engine = "sleep"
    isolation = "none"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def open(self) -> None:
        """Nothing to prepare."""

    def measure(self, request: EvaluationRequest, stages: StageClock) -> dict[str, float]:
        """Return two metrics that no candidate brings to their targets."""
        with stages.stage("steps[0]"):
            time.sleep(self._seconds)
        values = [float(value) for value in request.values.values()]
        return {"a": sum(values), "b": values[0] - values[-1]}

    def close(self) -> None:
        """Nothing to release."""


def study(parameters: int, trials: int, batch: int, sampler: str) -> StudySpec:
    """Return a study that goes on until its last trial."""
    document = {
        "study": "scheduling",
        "scenario": {"dbt_project": ".", "steps": [{"sql": "select 1"}]},
        "parameters": {
            f"p{number}": {"low": 0.0, "high": 1.0, "current": 0.5, "bind": {"var": f"p{number}"}}
            for number in range(parameters)
        },
        "metrics": {"a": {"sql": "select 1"}, "b": {"sql": "select 1"}},
        "targets": {"a": {"value": 1000.0}, "b": {"value": 1000.0}},
        "search": {
            "max_iterations": 1000, "max_trials": trials, "batch_size": batch,
            "sampler": sampler, "early_stop": False,
        },
    }  # fmt: skip
    return study_from_document(document, file=Path("scheduling.yaml"))


@contextmanager
def timed(spent: dict[str, float]) -> Iterator[None]:
    """Add up the time inside the sections; one inside another counts for the inner one."""
    inner: list[float] = [0.0]

    def wrapped(method: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            inner.append(0.0)
            try:
                return method(*args, **kwargs)
            finally:
                took = time.perf_counter() - began
                spent[name] += took - inner.pop()
                inner[-1] += took

        return call

    kept = [(owner, method, getattr(owner, method)) for owner, method, _ in SECTIONS]
    for owner, method, name in SECTIONS:
        setattr(owner, method, wrapped(getattr(owner, method), name))
    try:
        yield
    finally:
        for owner, method, original in kept:
            setattr(owner, method, original)


@dataclass
class Measured:
    """What a study of synthetic candidates took.

    Attributes:
        wall_seconds: Of the whole search, its last publication included.
        working_seconds: From the start of the first evaluation to the end of the last.
        evaluating_seconds: Of all evaluations together.
        spent: Seconds of the driver by section.
        iterations: Seconds of the driver's iterations.
    """

    wall_seconds: float
    working_seconds: float
    evaluating_seconds: float
    spent: Mapping[str, float]
    iterations: list[float]


def wait_for_workers(pool: WorkerPool) -> None:
    """Return when every worker has answered: starting them is not what is measured."""
    answered: set[str] = set()
    while len(answered) < pool.size:
        for _ in range(pool.size):
            pool.submit(EvaluationRequest(WARM_UP, {"p0": 0.5, "p1": 0.5}))
        while pool.in_flight:
            outcome = pool.next_outcome(60.0)
            if outcome is not None:
                answered.add(outcome.worker)


def run(spec: StudySpec, pool: WorkerPool, seconds: float, folder: Path) -> Measured:
    """Search with everything that a study has, and tell where the time went."""
    storage = open_storage(f"sqlite:///{folder / 'study.db'}")
    store = StudyStore.create_or_load(
        storage, spec.study, directions=directions(goals_of(spec)), base_name=spec.study
    )
    record = RunRecord(study=spec.study, run_id=uuid.uuid4().hex, started_at=datetime.now(UTC))
    spent: dict[str, float] = defaultdict(float)
    with StudyRecorder(
        folder=folder, spec=spec, storage=storage, store=store, run=record
    ) as recorder:
        spool = Spool(folder / "spool", spec.study)
        pool.open(spool.factory(Sleeper(seconds)))
        wait_for_workers(pool)
        spool.forget(WARM_UP)
        driver = Driver(
            spec=spec,
            goals=goals_of(spec),
            store=store,
            pool=pool,
            batch_size=int(spec.search.batch_size),
            recorder=recorder,
            progress=SilentProgress(),
            details={},
            spool=spool,
        )
        # A real run evaluates the current candidate while Ray starts.
        current = Sleeper(0.0)().evaluate(EvaluationRequest(0, current_candidate(spec)))
        with timed(spent):
            began = time.perf_counter()
            driver.run(preflight=current)
            wall = time.perf_counter() - began
    seconds, began_at, ended_at = 0.0, [], []
    for trial in store.trials()[1:]:
        for one in trial.user_attrs["outcome"]["evaluations"]:
            seconds += one["seconds"]
            began_at.append(datetime.fromisoformat(one["started_at"]).timestamp())
            ended_at.append(began_at[-1] + one["seconds"])
    working = max(ended_at) - min(began_at)
    storage.engine.dispose()
    return Measured(wall, working, seconds, spent, driver._iteration_seconds)


def driver_table(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the driver's time a trial, by sampler and section, as a table."""
    names = list(dict.fromkeys(name for *_, name in SECTIONS))
    yield f"| sampler | {' | '.join(names)} | other | ms a trial | in the last tenth |"
    yield "|" + "---|" * (len(names) + 4)
    for sampler in arguments.samplers:
        spec = study(arguments.parameters, arguments.trials, arguments.batch, sampler)
        folder = Path(tempfile.mkdtemp(prefix="scenario-search-scheduling-"))
        try:
            with make_pool(workers=0) as pool:
                found = run(spec, pool, 0.0, folder)
        finally:
            shutil.rmtree(folder)
        each = {name: found.spent.get(name, 0.0) / arguments.trials * 1000 for name in names}
        total = found.wall_seconds / arguments.trials * 1000
        rest = total - sum(each.values())
        last = found.iterations[-max(1, len(found.iterations) // 10) :]
        late = statistics.median(last) / arguments.batch * 1000
        cells = [f"{each[name]:.2f}" for name in names]
        yield f"| {sampler} | {' | '.join(cells)} | {rest:.2f} | {total:.2f} | {late:.2f} |"


def busy_table(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield how busy workers are with candidates of a fixed time, as a table."""
    yield (
        "| workers | s a candidate | trials | whole search, s | busy | "
        "first evaluation to last, s | busy |"
    )
    yield "|---|---|---|---|---|---|---|"
    workers = arguments.workers
    spec = study(arguments.parameters, arguments.trials, workers, "random")
    folder = Path(tempfile.mkdtemp(prefix="scenario-search-scheduling-"))
    try:
        with make_pool(workers=workers, start_timeout_seconds=600.0) as pool:
            found = run(spec, pool, arguments.sleep, folder)
    finally:
        shutil.rmtree(folder)
    cells = [f"{workers}", f"{arguments.sleep:g}", f"{arguments.trials}"]
    for span in (found.wall_seconds, found.working_seconds):
        cells += [f"{span:.1f}", f"{found.evaluating_seconds / (span * workers):.0%}"]
    yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure, and print the table as it grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--parameters", type=int, default=6)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe", "target"])
    parser.add_argument("--workers", type=int, default=0, help="measure how busy they are instead")
    parser.add_argument("--sleep", type=float, default=1.0, help="seconds that a candidate takes")
    arguments = parser.parse_args()
    table = busy_table(arguments) if arguments.workers else driver_table(arguments)
    for line in table:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
