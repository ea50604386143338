"""A pool in front of another one keeps every promise, and repeats nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pool_contract import PoolContract, attempts, collect, request_of, submit_all
from worker_fakes import FakeFactory

from search.scenario.outcome import EvaluationRequest
from search.storage.evaluations import CACHE, ResultCache, ResultKey
from search.workers import InlinePool, WorkerPool
from search.workers.cached import CachedPool


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ResultCache]:
    with ResultCache(tmp_path / "evaluations.db", ResultKey("s", 1)) as cache:
        yield cache


class TestCachedPool(PoolContract):
    @pytest.fixture
    def pool(self, cache: ResultCache) -> Iterator[WorkerPool]:
        with CachedPool(InlinePool(retries=2), cache) as pool:
            yield pool


def test_what_is_known_is_not_evaluated_again(cache: ResultCache, tmp_path: Path) -> None:
    with CachedPool(InlinePool(), cache) as pool:
        pool.open(FakeFactory(tmp_path))
        submit_all(pool, ["square", "fail", "square"])
        first = collect(pool)
        for trial in range(3):
            values = request_of(trial, "fail" if trial == 1 else "square").values
            pool.submit(EvaluationRequest(10 + trial, values))
        assert pool.in_flight == 3
        second = collect(pool)
    assert pool.hits == 2
    for trial in (0, 2):
        assert second[10 + trial].metrics == first[trial].metrics
        assert second[10 + trial].worker == CACHE
        assert not (tmp_path / f"trial-{10 + trial}").exists()
    assert second[11].failure is not None and attempts(tmp_path, 11) == [1]
