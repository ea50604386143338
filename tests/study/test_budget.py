"""Memory arithmetic: nothing exceeds the budget, and more memory never means less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import BudgetError
from search.study.budget import (
    MIB,
    MIN_DUCKDB_BYTES,
    RAY_BYTES,
    MemoryPlan,
    effective_budget,
    format_bytes,
    parse_size,
    plan_memory,
)

GB = 1000**3

sizes = st.integers(1, 64 * GB)
workers = st.none() | st.integers(0, 64)
baselines = st.integers(0, 8 * GB)


def _plan(budget: int, requested: int | None, **changes: object) -> MemoryPlan | None:
    known = {"cores": 8, "threads_per_worker": 1, "baseline_bytes": 0} | changes
    try:
        return plan_memory(budget_bytes=budget, requested_workers=requested, **known)  # type: ignore[arg-type]
    except BudgetError:
        return None


@given(sizes, workers, st.integers(1, 64), st.integers(1, 8), baselines)
def test_plan_never_exceeds_the_budget(
    budget: int, requested: int | None, cores: int, threads: int, baseline: int
) -> None:
    plan = _plan(
        budget,
        requested,
        cores=cores,
        threads_per_worker=threads,
        baseline_bytes=baseline,
    )
    if plan is None:
        return
    assert plan.total_bytes <= budget
    assert plan.duckdb_memory_limit_bytes >= MIN_DUCKDB_BYTES * threads
    assert plan.per_worker_bytes >= plan.worker_base_bytes + plan.duckdb_memory_limit_bytes * 1.15
    assert plan.max_temp_bytes > plan.duckdb_memory_limit_bytes
    if requested is not None:
        assert plan.workers == requested
    else:
        assert 1 <= plan.workers <= max(1, cores // threads)


@given(sizes, st.integers(0, 8 * GB), workers, baselines)
def test_more_budget_never_means_less(
    budget: int, more: int, requested: int | None, baseline: int
) -> None:
    small = _plan(budget, requested, baseline_bytes=baseline)
    large = _plan(budget + more, requested, baseline_bytes=baseline)
    if small is None:
        return
    assert large is not None
    assert large.workers >= small.workers
    if large.workers == small.workers:
        assert large.duckdb_memory_limit_bytes >= small.duckdb_memory_limit_bytes


@given(sizes, st.integers(1, 32), baselines)
def test_more_workers_never_mean_more_for_each(budget: int, count: int, baseline: int) -> None:
    few = _plan(budget, count, baseline_bytes=baseline)
    many = _plan(budget, count + 1, baseline_bytes=baseline)
    if many is not None:
        assert few is not None
        assert few.duckdb_memory_limit_bytes >= many.duckdb_memory_limit_bytes


def test_auto_gives_each_worker_room_for_the_baseline() -> None:
    roomy = _plan(8 * GB, None, baseline_bytes=100 * MIB)
    tight = _plan(8 * GB, None, baseline_bytes=3 * GB)
    huge = _plan(8 * GB, None, baseline_bytes=100 * GB)
    assert roomy is not None and tight is not None and huge is not None
    assert (roomy.workers, tight.workers, huge.workers) == (8, 1, 1)


def test_inline_needs_no_ray() -> None:
    inline, one = _plan(2 * GB, 0), _plan(2 * GB, 1)
    assert inline is not None and one is not None
    assert (inline.workers, one.workers) == (0, 1)
    assert one.reserved_bytes - inline.reserved_bytes == RAY_BYTES
    assert inline.duckdb_memory_limit_bytes > one.duckdb_memory_limit_bytes


def test_shortfall_names_bytes_and_setting() -> None:
    with pytest.raises(BudgetError) as caught:
        plan_memory(
            budget_bytes=2 * GB,
            requested_workers=8,
            cores=8,
            threads_per_worker=1,
            baseline_bytes=0,
        )
    message = str(caught.value)
    needed = int(message.split("resources.memory_budget to ")[1].split("MB")[0])
    fewer = int(message.split("at most ")[-1])
    assert "bytes short" in message and "2.00 GB" in message
    assert _plan(needed * 1000**2, 8) is not None
    assert _plan(2 * GB, fewer) is not None
    assert _plan(2 * GB, fewer + 1) is None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GB", 8 * GB),
        ("8 gb", 8 * GB),
        ("1.5GB", 1_500_000_000),
        ("1KiB", 1024),
        ("2MiB", 2 * 1024**2),
        ("1TB", 1000**4),
        ("12B", 12),
        (77, 77),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "8", "GB", "-1GB", "8 G", "0GB", "1e3GB", 0, -5, True, 1.5, None]
)
def test_bad_sizes(text: object) -> None:
    with pytest.raises(ValueError, match="such as 8GB"):
        parse_size(text)  # type: ignore[arg-type]


@given(st.integers(0, 10**15))
def test_formatted_sizes_read_back(size: int) -> None:
    text = format_bytes(size)
    if size:
        assert parse_size(text) == pytest.approx(size, rel=0.01)


def test_effective_budget_is_the_smallest() -> None:
    assert effective_budget(8, None, None) == 8
    assert effective_budget(8, 4, 6) == 4
    assert effective_budget(8, 9, 6) == 6
    with pytest.raises(BudgetError, match="above 0"):
        effective_budget(8, None, 0)
