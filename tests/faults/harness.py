"""Runs a study in processes that are killed, starved or disturbed, and reports what is left.

Started as a program of its own: it imports everything once and forks a process for each run, so
that a hundred runs take minutes. What runs is the real thing (driver, storage, lock, spool, log,
publication) over candidates that are computed in Python.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import resource
import signal
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "scenario"))

from studies import FormulaFactory, tiny_document, write_study

from search.audit import events as events_module
from search.audit.integrity import verify_trail
from search.audit.reader import AuditReader
from search.audit.records import RunRecord
from search.driver.loop import Driver
from search.driver.progress import SilentProgress
from search.driver.recorder import StudyRecorder
from search.errors import SearchError
from search.storage import sqlite as sqlite_module
from search.storage.attributes import OUTCOME, SPEC
from search.storage.database import open_storage
from search.storage.lock import StudyLock
from search.storage.study_store import StudyStore
from search.study import StudySpec, load_study
from search.study.ranking import directions, rank_key
from search.study.targets import goals_of
from search.workers import InlinePool
from search.workers.spool import Spool

NEVER = {"v": {"value": 1000.0, "tolerance": 0.0001}}
TRIALS = 9
SEARCH = {"max_iterations": 2, "batch_size": 4, "sampler": "tpe", "early_stop": False}


def study(folder: Path) -> StudySpec:
    """Return the study; its file is written by the first who asks."""
    file = folder / "project" / "study.yml"
    if not file.exists():
        write_study(file.parent, tiny_document(targets=NEVER, search=SEARCH))
    return load_study(file)


def formula(x: float, rate: float) -> dict[str, float]:
    """Compute what the tiny study computes."""
    return {"v": 10 * x + rate}


def search(folder: Path) -> None:
    """Run the study to its end, as ``search.commands.run`` does."""
    spec = study(folder)
    with StudyLock(folder / "study.lock"):
        storage = open_storage(f"sqlite:///{folder / 'study.db'}")
        store = StudyStore.create_or_load(storage, "tiny", directions=directions(goals_of(spec)))
        run = RunRecord(study="tiny", run_id=uuid.uuid4().hex[:12], started_at=datetime.now(UTC))
        recorder = StudyRecorder(folder=folder, spec=spec, storage=storage, store=store, run=run)
        with recorder, InlinePool() as pool:
            spool = Spool(folder / "spool", "tiny")
            store.set_attributes({SPEC: spec.to_document()})
            driver = Driver(
                spec=spec,
                goals=goals_of(spec),
                store=store,
                pool=pool,
                batch_size=4,
                recorder=recorder,
                progress=SilentProgress(),
                details={"run_id": run.run_id},
                spool=spool,
            )
            pool.open(spool.factory(FormulaFactory(formula, folder / "evaluations")))
            end = driver.run()
            spool.keep(())
            assert end.best is not None
            recorder.finish("finished", best_trial=end.best.number, trials=end.trials)
        storage.engine.dispose()


# --- what is done to it -----------------------------------------------------------


def killed_before(step: int) -> None:
    """Kill this process before its n-th step that touches the disk."""
    counter = itertools.count(1)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(counter) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    for name in ("fsync", "replace", "pwrite", "unlink", "ftruncate"):
        setattr(os, name, counted(getattr(os, name)))
    real = sqlite_module.DurableConnection

    class Counted(real):  # type: ignore[misc, valid-type]
        commit = counted(real.commit)
        execute = counted(real.execute)

    sqlite_module.DurableConnection = Counted  # type: ignore[misc]
    global formula
    formula = counted(formula)


def read_only_from(step: int) -> None:
    """Refuse every write from the n-th step on, as a file system does that turned read-only."""
    counter = itertools.count(1)

    def refusing(function: Callable[..., Any], error: Callable[[], Exception]) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(counter) >= step:
                raise error()
            return function(*args, **kwargs)

        return call

    def refused() -> OSError:
        return OSError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("fsync", "replace", "pwrite", "unlink", "ftruncate"):
        setattr(os, name, refusing(getattr(os, name), refused))
    real = sqlite_module.DurableConnection

    class ReadOnly(real):  # type: ignore[misc, valid-type]
        commit = refusing(
            real.commit, lambda: sqlite3.OperationalError("attempt to write a readonly database")
        )

    sqlite_module.DurableConnection = ReadOnly  # type: ignore[misc]


def starved_at(size: int) -> None:
    """Let no file grow past a size: the kernel refuses as it does on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def locked_for(seconds: int) -> None:
    """Let another process hold the storage's write lock for a while."""
    folder = Path.cwd()
    if os.fork() > 0:
        return
    deadline = time.monotonic() + 60
    while not evaluations(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    connection = sqlite3.connect(folder / "study.db", timeout=60, isolation_level=None)
    connection.execute("begin immediate")
    time.sleep(seconds)
    connection.execute("rollback")
    os._exit(0)


def locked_too_long(seconds: int) -> None:
    """The same, for longer than a driver waits."""
    sqlite_module.BUSY_TIMEOUT_SECONDS = 1
    locked_for(seconds)


def yesterday(_: int) -> None:
    """Set this process's clock back by a day, as far as the log and trials read it."""

    class Earlier(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) - timedelta(days=1)

    events_module.datetime = Earlier  # type: ignore[misc]
    real = time.time
    time.time = lambda: real() - 86400


FAULTS: dict[str, Callable[[int], None]] = {
    "none": lambda _: None,
    "kill": killed_before,
    "full": starved_at,
    "read-only": read_only_from,
    "locked": locked_for,
    "locked too long": locked_too_long,
    "clock": yesterday,
}


def in_child(action: Callable[[], None]) -> int:
    """Run an action in a fork; return its exit code, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            action()
            code = 0
        except SearchError:
            code = 3
        except BaseException as error:
            sys.stderr.write(f"unexpected {type(error).__name__}: {error}\n")
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def disturbed(folder: Path, fault: str, value: int) -> int:
    """Run the study under a fault; return how its process ended."""

    def action() -> None:
        os.chdir(folder)
        FAULTS[fault](value)
        search(folder)

    return in_child(action)


# --- what is left -----------------------------------------------------------------


def evaluations(folder: Path) -> list[int]:
    """Return the trials in the order in which they were evaluated."""
    log = folder / "evaluations"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def story(folder: Path) -> list[Any]:
    """Return all that the storage has of the trials, without times."""
    if not (folder / "study.db").exists():
        return []
    storage = open_storage(f"sqlite:///{folder / 'study.db'}")
    try:
        store = StudyStore.create_or_load(storage, "tiny")
        return [
            [
                one.number,
                one.state.name,
                dict(one.params),
                one.values,
                one.user_attrs.get("iteration"),
                one.user_attrs.get("metric:v"),
                len((one.user_attrs.get(OUTCOME) or {}).get("evaluations", [])),
            ]
            for one in store.trials()
        ]
    finally:
        storage.engine.dispose()


def faults_of(folder: Path) -> Iterator[str]:
    """Yield whatever is wrong with a study that has been run to its end."""
    spec = study(folder)
    connection = sqlite3.connect(folder / "study.db")
    (check,) = connection.execute("pragma integrity_check").fetchone()
    connection.close()
    if check != "ok":
        yield f"integrity_check says {check}"
    storage = open_storage(f"sqlite:///{folder / 'study.db'}")
    checked = verify_trail(folder, storage, "tiny")
    yield from (f"{one.place}: {one.text}" for one in checked.findings)
    trials = StudyStore.load(storage, "tiny").trials()
    storage.engine.dispose()
    goals = goals_of(spec)
    ranked = min(trials, key=lambda t: (rank_key(goals, {"v": t.user_attrs["metric:v"]}), t.number))
    best = AuditReader(folder).best()
    if {one.trial for one in best} != {ranked.number}:
        yield f"the best is {best}, but trial {ranked.number} ranks first"
    left = [path.name for path in folder.rglob("*") if path.name.startswith(".tmp")]
    left += [name for name in ("study.lock", "spool", "study.db-wal") if (folder / name).exists()]
    if left:
        yield f"left behind: {left}"


def case(folder: Path, fault: str, values: list[int], reference: list[Any]) -> dict[str, Any]:
    """Disturb a study, possibly several times, run it to its end, and report."""
    folder.mkdir(parents=True)
    codes: list[int] = []
    wrong: list[str] = []
    done: dict[int, Any] = {}
    counted: dict[int, int] = {}
    for value in values:
        codes.append(disturbed(folder, fault, value))
        spooled = {int(p.name.split("-")[0]) for p in (folder / "spool").glob("[0-9]*.json")}
        now = {one[0]: one for one in _story_in_child(folder) if one[1] == "COMPLETE"}
        wrong += [f"trial {n} changed or is gone" for n, one in done.items() if now.get(n) != one]
        done = now
        for number in {*done, *spooled}:
            counted.setdefault(number, evaluations(folder).count(number))
    final = in_child(lambda: search(folder))
    if final != 0:
        wrong.append(f"the last run ended with {final}")
        return {"fault": fault, "values": values, "codes": codes, "wrong": wrong}
    after = _story_in_child(folder)
    wrong += [
        f"trial {number} was evaluated again"
        for number, count in counted.items()
        if evaluations(folder).count(number) != count
    ]
    wrong += [f"trial {n} changed or is gone" for n, one in done.items() if one not in after]
    if reference and after != reference:
        wrong.append(f"the story differs: {after} and not {reference}")
    repeated = len(evaluations(folder)) - len(after)
    if repeated > len(values):
        wrong.append(f"{repeated} evaluations were repeated over {len(values)} faults")
    wrong += list(faults_of(folder))
    return {
        "fault": fault, "values": values, "codes": codes, "wrong": wrong,
        "acknowledged": len(done), "spooled": len(spooled), "repeated": repeated,
    }  # fmt: skip


def _story_in_child(folder: Path) -> list[Any]:
    """Read the storage in a fork, so that this process keeps no connection to it."""
    read, write = os.pipe()

    def action() -> None:
        with os.fdopen(write, "w") as out:
            json.dump(story(folder), out)

    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            action()
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return list(json.loads(text))


def two_at_once(folder: Path) -> dict[str, Any]:
    """Start two drivers of one study at the same moment."""
    folder.mkdir(parents=True)
    study(folder)
    pids = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                search(folder)
                code = 0
            except SearchError as error:
                code = 4 if type(error).__name__ == "LeaseError" else 3
            finally:
                os._exit(code)
        pids.append(pid)
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)
    return {"fault": "two drivers", "values": [], "codes": codes, "wrong": list(faults_of(folder))}


def steps(folder: Path) -> int:
    """Return how many steps that touch the disk an undisturbed run has."""
    low, high = 1, 100_000
    folder.mkdir(parents=True)
    # A kill past the last step kills nothing.
    for number in itertools.count():
        middle = (low + high) // 2
        if low == high:
            return low - 1
        if disturbed(folder / str(number), "kill", middle) == 0:
            high = middle
        else:
            low = middle + 1
    raise AssertionError


def main() -> None:
    """Read the cases from standard input, a JSON list, and print a line for each."""
    root = Path(sys.argv[1])
    reference_folder = root / "reference"
    reference_folder.mkdir(parents=True)
    assert in_child(lambda: search(reference_folder)) == 0
    reference = _story_in_child(reference_folder)
    assert len(reference) == TRIALS
    for number, one in enumerate(json.load(sys.stdin)):
        folder = root / str(number)
        if one["fault"] == "two drivers":
            report = two_at_once(folder)
        else:
            report = case(folder, one["fault"], one["values"], reference)
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
