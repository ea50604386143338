from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.study.replication import over_replications, quantile

values = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30)


@given(values, st.integers(1, 99))
def test_quantiles_are_those_of_numpy(numbers: list[float], percent: int) -> None:
    expected = float(np.quantile(numbers, percent / 100))
    assert quantile(numbers, percent / 100) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [("mean", 4.0), ("median", 2.0), ("min", 1.0), ("max", 9.0), ("p50", 2.0), ("p75", 5.5)],
)
def test_each_statistic(statistic: str, expected: float) -> None:
    evaluations = [{"a": 9.0, "b": 0.0}, {"a": 1.0, "b": 0.0}, {"a": 2.0, "b": 0.0}]
    assert over_replications(evaluations, statistic) == {"a": expected, "b": 0.0}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_single_evaluation_is_exact_whatever_the_statistic(value: float) -> None:
    for statistic in ("mean", "p90", "max"):
        assert over_replications([{"a": value}], statistic) == {"a": value}
