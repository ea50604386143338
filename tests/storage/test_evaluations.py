"""The cache of results: only exact repetitions, and nothing that is damaged."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from search.errors import StorageError
from search.scenario.outcome import EvaluationRequest, Failure, Outcome
from search.storage.evaluations import CACHE, ResultCache, ResultKey

KEY = ResultKey("abc", threads=1)
METRICS = {"cost": 0.1 + 0.2, "heads": -0.0, "huge": 1.7e308}


def outcome(engine: str = "compiled", **values: object) -> Outcome:
    request = EvaluationRequest(3, values or {"x": 1.0}, None)  # type: ignore[arg-type]
    return Outcome(
        request, METRICS, started_at=5.0, seconds=2.0, worker="here:1", engine=engine,
        isolation="overlay",
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results" / "evaluations.db"


def test_a_repetition_is_found_bit_by_bit_by_another_process_of_the_study(path: Path) -> None:
    with ResultCache(path, KEY) as first, ResultCache(path, KEY) as second:
        first.keep(outcome())
        again = EvaluationRequest(8, {"x": 1.0}, None)
        found = second.find(again)
    assert found is not None and found.request == again
    assert [value.hex() for value in found.metrics.values()] == [
        value.hex() for value in METRICS.values()
    ]
    assert (found.worker, found.engine, found.isolation) == (CACHE, "compiled", "overlay")
    assert found.seconds == 0.0


@pytest.mark.parametrize(
    "other",
    [
        EvaluationRequest(3, {"x": 1}),
        EvaluationRequest(3, {"x": True}),
        EvaluationRequest(3, {"x": "1.0"}),
        EvaluationRequest(3, {"x": 1.0000000000000002}),
        EvaluationRequest(3, {"y": 1.0}),
        EvaluationRequest(3, {"x": 1.0, "y": 1.0}),
        EvaluationRequest(3, {"x": 1.0}, replication=1),
    ],
)
def test_another_candidate_is_not_found(path: Path, other: EvaluationRequest) -> None:
    with ResultCache(path, KEY) as cache:
        cache.keep(outcome())
        assert cache.find(EvaluationRequest(3, {"x": 1.0})) is not None
        assert cache.find(other) is None


@pytest.mark.parametrize("key", [ResultKey("abd", 1), ResultKey("abc", 2)])
def test_another_scenario_is_not_found(path: Path, key: ResultKey) -> None:
    with ResultCache(path, KEY) as cache:
        cache.keep(outcome())
    with ResultCache(path, key) as cache:
        assert cache.find(outcome().request) is None


def test_failures_and_what_came_from_the_cache_are_not_kept(path: Path) -> None:
    with ResultCache(path, KEY) as cache:
        cache.keep(replace(outcome(), failure=Failure("step", "no"), metrics={}))
        cache.keep(replace(outcome(), worker=CACHE))
        assert cache.find(outcome().request) is None


def test_who_asks_for_dbt_gets_only_what_dbt_evaluated(path: Path) -> None:
    with ResultCache(path, KEY, is_dbt_only=True) as cache:
        cache.keep(outcome("compiled"))
        assert cache.find(outcome().request) is None
        cache.keep(outcome("dbt"))
        found = cache.find(outcome().request)
        assert found is not None and found.engine == "dbt"


def test_what_proved_wrong_is_forgotten(path: Path) -> None:
    with ResultCache(path, KEY) as cache:
        cache.keep(outcome("compiled", x=1.0))
        cache.keep(outcome("dbt", x=2.0))
        cache.forget_replayed()
        assert cache.find(outcome(x=1.0).request) is None
        assert cache.find(outcome(x=2.0).request) is not None


def test_a_damaged_row_is_evaluated_again(path: Path) -> None:
    with ResultCache(path, KEY) as cache:
        cache.keep(outcome())
    connection = sqlite3.connect(path)
    connection.execute("update results set metrics = replace(metrics, '0.3', '0.4')")
    connection.commit()
    connection.close()
    with ResultCache(path, KEY) as cache:
        assert cache.find(outcome().request) is None
        cache.keep(outcome())
        assert cache.find(outcome().request) is not None


def test_a_file_that_is_no_cache_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("not a database, but long enough to look like one" * 40)
    with pytest.raises(StorageError, match="reuse_results: false"):
        ResultCache(path, KEY)


def test_a_cache_that_breaks_later_finds_nothing_more_and_says_why(path: Path) -> None:
    with ResultCache(path, KEY) as cache:
        cache.keep(outcome())
        other = sqlite3.connect(path)
        other.execute("drop table results")
        other.commit()
        other.close()
        assert cache.find(outcome().request) is None
        assert cache.fault is not None and "evaluations.db" in cache.fault
        cache.keep(outcome())
