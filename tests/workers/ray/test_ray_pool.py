"""The pool of Ray actors, on one private Ray for the whole module."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import worker_fakes
from pool_contract import PATIENCE_SECONDS, PoolContract, attempts, collect, request_of, submit_all
from worker_fakes import FakeFactory

from search.errors import WorkerError
from search.scenario.outcome import Outcome
from search.system.memory import MemorySampler
from search.workers import WorkerPool, make_pool
from search.workers.ray.host import ALLOCATOR
from search.workers.ray.ray_pool import RayPool
from search.workers.ray.supervision import Allowance
from search.workers.watchdog import MemoryWatchdog, data_limit_bytes

pytestmark = pytest.mark.ray

RAY_VARIABLES = (
    "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_memory_monitor_refresh_ms", *ALLOCATOR,
)  # fmt: skip


@pytest.fixture(scope="module")
def ray_pool() -> Iterator[RayPool]:
    before = set(psutil.Process().children(recursive=True))
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    variables = {name: os.environ.get(name) for name in RAY_VARIABLES}
    pool = make_pool(workers=2, retries=2, trial_timeout_seconds=4.0)
    assert isinstance(pool, RayPool)
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(worker_fakes)
    try:
        pool.start()
        pool._host.wait()
        folder = pool._host.folder
        assert folder is not None and folder.is_dir()
        yield pool
        started = set(psutil.Process().children(recursive=True)) - before
        assert started
    finally:
        pool.close()
        pool.close()
        cloudpickle.unregister_pickle_by_value(worker_fakes)
    assert not [process for process in started if process.is_running()]
    assert not folder.exists()
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert {name: os.environ.get(name) for name in RAY_VARIABLES} == variables


@pytest.fixture
def pool(ray_pool: RayPool) -> Iterator[RayPool]:
    yield ray_pool
    ray_pool._placement.clear()
    ray_pool._workers.end_workers()
    ray_pool._done.clear()


class TestRayPool(PoolContract):
    @pytest.fixture
    def pool(self, pool: RayPool) -> WorkerPool:
        return pool


@pytest.fixture
def opened(pool: RayPool, tmp_path: Path) -> RayPool:
    pool.open(FakeFactory(tmp_path))
    return pool


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)
    return path.read_text()


def test_work_is_shared_between_two_other_processes(opened: RayPool) -> None:
    submit_all(opened, ["square"] * 40)
    workers = {outcome.worker for outcome in collect(opened).values()}
    assert f":{os.getpid()}" not in "".join(workers)
    assert 1 <= len(workers) <= 2 == opened.size
    for worker in workers:
        assert ALLOCATOR.items() <= psutil.Process(int(worker.split(":")[1])).environ().items()


def test_what_has_come_in_is_taken_without_waiting(opened: RayPool) -> None:
    submit_all(opened, ["square", "square"])
    first = opened.next_outcome(PATIENCE_SECONDS)
    ready: list[Outcome] = []
    began = time.monotonic()
    while not ready and time.monotonic() < began + PATIENCE_SECONDS:
        asked = time.monotonic()
        found = opened.ready_outcome()
        assert time.monotonic() < asked + 1.0
        ready += [found] if found else []
    assert first is not None
    assert {first.request.trial, ready[0].request.trial} == {0, 1}
    assert opened.ready_outcome() is None
    assert opened.in_flight == 0


@pytest.mark.fault
def test_workers_find_no_module_in_the_working_folder(opened: RayPool) -> None:
    """The canary for what ``ray.init`` appends to a job's folders."""
    import ray

    @ray.remote(num_cpus=0)  # type: ignore[untyped-decorator]
    def path_of_worker() -> list[str]:
        import sys

        return sys.path

    found = ray.get(path_of_worker.remote(), timeout=PATIENCE_SECONDS)
    assert found and {"", os.getcwd()} & set(found) == set()


def test_a_killed_worker_is_replaced_and_its_trial_tried_again(
    opened: RayPool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    submit_all(opened, ["die once", "square", "square", "square"])
    outcomes = collect(opened)
    assert all(outcome.is_complete for outcome in outcomes.values())
    assert outcomes[0].request.attempt == 2
    assert attempts(tmp_path, 0) == [1, 2]
    assert capfd.readouterr().out == "", "stdout belongs to the command line's summary"


@pytest.mark.fault
def test_a_worker_killed_from_outside_is_replaced(opened: RayPool, tmp_path: Path) -> None:
    opened.submit(request_of(0, "hang"))
    assert opened.next_outcome(0.0) is None
    while not (tmp_path / "trial-0").exists():
        assert opened.next_outcome(0.1) is None
    pid = int(wait_for(tmp_path / "trial-0").split()[1])
    os.kill(pid, signal.SIGKILL)
    submit_all(opened, [])
    opened.submit(request_of(1))
    outcomes = collect(opened)
    assert outcomes[1].is_complete
    assert outcomes[0].failure is not None and outcomes[0].failure.stage == "timeout"
    assert attempts(tmp_path, 0) == [1, 2]


@pytest.mark.fault
@pytest.mark.parametrize("deed", ["die", "exit"])
def test_a_trial_that_kills_every_worker_fails_and_the_pool_goes_on(
    opened: RayPool, tmp_path: Path, deed: str
) -> None:
    submit_all(opened, [deed, "square"])
    outcomes = collect(opened)
    failure = outcomes[0].failure
    assert failure is not None and failure.stage == "worker"
    assert "died" in failure.message and "resources.memory_budget" in failure.message
    assert outcomes[0].request.attempt == 3
    assert attempts(tmp_path, 0) == [1, 2, 3]
    assert outcomes[1].is_complete


@pytest.mark.fault
def test_a_trial_past_its_time_is_ended_with_its_process(opened: RayPool, tmp_path: Path) -> None:
    submit_all(opened, ["hang", "spin", "square"])
    outcomes = collect(opened)
    for trial in (0, 1):
        failure = outcomes[trial].failure
        assert failure is not None and failure.stage == "timeout"
        assert "search.trial_timeout" in failure.message
        assert attempts(tmp_path, trial) == [1]
        pid = int((tmp_path / f"trial-{trial}").read_text().split()[1])
        assert not psutil.pid_exists(pid) or "WorkerProcess" not in psutil.Process(pid).name()
    assert outcomes[2].is_complete


@pytest.mark.fault
def test_workers_that_die_at_opening_end_the_search(pool: RayPool, tmp_path: Path) -> None:
    pool.open(FakeFactory(tmp_path, opening="die"))
    pool.submit(request_of(0))
    with pytest.raises(WorkerError, match="died one after another"):
        pool.next_outcome(PATIENCE_SECONDS)


def test_a_worker_that_cannot_be_placed_names_what_is_missing(
    pool: RayPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool._workers._room, "needs", {"num_cpus": 64})
    monkeypatch.setattr(pool._workers, "_allowance", Allowance(1.0, None, None))
    pool.open(FakeFactory(tmp_path))
    pool.submit(request_of(0))
    with pytest.raises(WorkerError, match="asks for CPU 64; Ray has CPU 2 free of 2"):
        pool.next_outcome(PATIENCE_SECONDS)


def test_more_workers_on_a_node_than_its_memory_holds_are_refused(
    pool: RayPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool._workers._room, "_per_node", 1)
    pool.open(FakeFactory(tmp_path))
    pool.submit(request_of(0, "hang"))
    with pytest.raises(WorkerError, match="workers_per_node = 1 workers, but Ray placed 2 on"):
        pool.next_outcome(PATIENCE_SECONDS)


@pytest.mark.fault
def test_the_worker_that_breaks_the_budget_is_ended_and_told(
    pool: RayPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MemorySampler() as idle:
        pool.open(FakeFactory(tmp_path))
        submit_all(pool, ["square", "square"])
        collect(pool)
        before = idle.look()
    budget = before + 200 * 2**20
    with MemoryWatchdog(budget_bytes=budget, share_bytes=150 * 2**20) as watchdog:
        monkeypatch.setattr(pool._workers, "_watchdog", watchdog)
        patient = Allowance(PATIENCE_SECONDS, PATIENCE_SECONDS, None)
        monkeypatch.setattr(pool._workers, "_allowance", patient)
        for trial, deed in enumerate(["eat", "nap", "eat once", "nap", "square"], start=2):
            pool.submit(request_of(trial, deed))
        outcomes = collect(pool)
    failure = outcomes[2].failure
    assert failure is not None and failure.stage == "memory"
    pid = int((tmp_path / "trial-2").read_text().split()[-1])
    assert f":{pid} most beyond its share" in failure.message
    assert "raise resources.memory_budget" in failure.message
    assert attempts(tmp_path, 2) == attempts(tmp_path, 4) == [1, 2]
    assert all(outcomes[trial].is_complete for trial in (3, 4, 5, 6))
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(PATIENCE_SECONDS)
    assert watchdog.peak_bytes > budget


def test_an_allocation_beyond_the_limit_fails_the_trial_and_not_the_worker(
    pool: RayPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = Allowance(PATIENCE_SECONDS, PATIENCE_SECONDS, data_limit_bytes(100 * 2**20))
    monkeypatch.setattr(pool._workers, "_allowance", limited)
    pool.open(FakeFactory(tmp_path))
    submit_all(pool, ["allocate", "square", "square"])
    outcomes = collect(pool)
    failure = outcomes[0].failure
    assert failure is not None and failure.stage == "memory"
    assert "resources.memory_budget" in failure.message
    assert attempts(tmp_path, 0) == [1]
    pid = int((tmp_path / "trial-0").read_text().split()[1])
    assert psutil.pid_exists(pid)
    assert outcomes[1].is_complete and outcomes[2].is_complete
