"""What every pool promises, as tests; each pool overrides the fixture."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from worker_fakes import FakeFactory

from search.errors import ProjectError, WorkerError
from search.scenario.outcome import EvaluationRequest, Outcome
from search.workers import WorkerPool

PATIENCE_SECONDS = 60.0


def request_of(trial: int, deed: str = "square") -> EvaluationRequest:
    return EvaluationRequest(trial=trial, values={"x": float(trial), "deed": deed})


def submit_all(pool: WorkerPool, deeds: Iterable[str]) -> None:
    for trial, deed in enumerate(deeds):
        pool.submit(request_of(trial, deed))


def collect(pool: WorkerPool) -> dict[int, Outcome]:
    """Return the outcomes by trial, after checking that each came exactly once."""
    outcomes: list[Outcome] = []
    while pool.in_flight:
        outcome = pool.next_outcome(PATIENCE_SECONDS)
        assert outcome is not None, f"nothing came, yet {pool.in_flight} are in flight"
        while outcome is not None:
            outcomes.append(outcome)
            outcome = pool.ready_outcome()
    trials = [outcome.request.trial for outcome in outcomes]
    assert len(set(trials)) == len(trials)
    return {outcome.request.trial: outcome for outcome in outcomes}


def attempts(folder: Path, trial: int) -> list[int]:
    """Return the attempts at a trial as its evaluators noted them."""
    return [int(line.split()[0]) for line in (folder / f"trial-{trial}").read_text().splitlines()]


class PoolContract:
    """Runs with two retries and a trial timeout of a few seconds where there is one."""

    @pytest.fixture
    def pool(self) -> WorkerPool:
        raise NotImplementedError

    @pytest.fixture
    def opened(self, pool: WorkerPool, tmp_path: Path) -> WorkerPool:
        pool.open(FakeFactory(tmp_path))
        return pool

    def test_each_request_is_answered_exactly_once(
        self, opened: WorkerPool, tmp_path: Path
    ) -> None:
        submit_all(opened, ["square"] * 25)
        assert opened.in_flight == 25
        outcomes = collect(opened)
        assert {trial: o.metrics["square"] for trial, o in outcomes.items()} == {
            trial: float(trial * trial) for trial in range(25)
        }
        assert all(attempts(tmp_path, trial) == [1] for trial in range(25))
        assert opened.in_flight == 0

    def test_nothing_in_flight_is_no_outcome(self, opened: WorkerPool) -> None:
        assert opened.next_outcome() is None
        assert opened.next_outcome(5.0) is None
        assert opened.ready_outcome() is None

    def test_a_failed_scenario_is_not_tried_again(self, opened: WorkerPool, tmp_path: Path) -> None:
        opened.submit(request_of(0, "fail"))
        failure = collect(opened)[0].failure
        assert failure is not None and failure.stage == "step"
        assert attempts(tmp_path, 0) == [1]

    def test_a_retryable_failure_is_tried_again(self, opened: WorkerPool, tmp_path: Path) -> None:
        submit_all(opened, ["fail once", "fail always"])
        outcomes = collect(opened)
        assert outcomes[0].is_complete and outcomes[0].request.attempt == 2
        assert not outcomes[1].is_complete and outcomes[1].request.attempt == 3
        assert attempts(tmp_path, 1) == [1, 2, 3]

    def test_an_exception_of_the_evaluator_is_an_outcome(self, opened: WorkerPool) -> None:
        submit_all(opened, ["raise", "square"])
        outcomes = collect(opened)
        failure = outcomes[0].failure
        assert failure is not None and failure.stage == "worker"
        assert "ValueError: a bug in the evaluator" in failure.message
        assert outcomes[1].is_complete

    def test_warnings_of_an_evaluator_reach_the_log(
        self, opened: WorkerPool, caplog: pytest.LogCaptureFixture
    ) -> None:
        opened.submit(request_of(0, "warn"))
        collect(opened)
        assert "x is large" in caplog.text

    def test_an_evaluator_that_does_not_open_is_the_users_error(
        self, pool: WorkerPool, tmp_path: Path
    ) -> None:
        with pytest.raises(ProjectError, match="must parse"):
            pool.open(FakeFactory(tmp_path, opening="refuse"))
            pool.submit(request_of(0))
            pool.next_outcome(PATIENCE_SECONDS)

    def test_opening_again_needs_an_idle_pool(self, opened: WorkerPool, tmp_path: Path) -> None:
        opened.submit(request_of(0))
        with pytest.raises(WorkerError, match="in flight"):
            opened.open(FakeFactory(tmp_path))
        collect(opened)
        opened.open(FakeFactory(tmp_path))
        opened.submit(request_of(1))
        assert collect(opened)[1].is_complete
