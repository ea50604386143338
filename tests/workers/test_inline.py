"""The pool without processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pool_contract import PoolContract, request_of
from worker_fakes import FakeFactory

from search.errors import SpecError, WorkerError
from search.workers import InlinePool, WorkerPool, make_pool
from search.workers.inline import _Lane


class TestInlinePool(PoolContract):
    @pytest.fixture
    def pool(self) -> Iterator[WorkerPool]:
        with make_pool(workers=0, retries=2) as pool:
            yield pool


def test_close_closes_the_evaluator_and_may_be_called_twice(tmp_path: Path) -> None:
    pool = InlinePool()
    pool.open(FakeFactory(tmp_path))
    pool.submit(request_of(0))
    pool.close()
    pool.close()
    assert pool.in_flight == 0 and pool.next_outcome() is None


def test_a_pool_must_be_open_before_a_request() -> None:
    with pytest.raises(WorkerError, match="must be open"):
        InlinePool().submit(request_of(0))


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(SpecError, match="workers=-1"):
        make_pool(workers=-1)


def test_ray_is_not_imported_unless_it_is_used() -> None:
    import subprocess
    import sys

    code = "import sys, search.workers; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_interrupt_that_comes_when_the_call_has_just_ended_prints_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    for _ in range(20):
        lane = _Lane()
        assert lane.call(lambda: 7).result() == 7
        lane.abandon()
    assert told == []
