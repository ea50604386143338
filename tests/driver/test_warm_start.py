"""Candidates of earlier studies: found, fitted to today's ranges, ranked by today's targets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from studies import load, tiny_document

from search.driver.warm_start import earlier_studies, warm_candidates
from search.errors import SpecError
from search.storage.attributes import Conclusion, Proposal
from search.storage.database import open_storage
from search.storage.study_store import StudyStore
from search.study import StudySpec
from search.study.space import canonical, distributions
from search.study.targets import goals_of


def stored(
    url: str, name: str, spec: StudySpec, candidates: Mapping[tuple[float, float], float]
) -> None:
    """Store a study whose trials have the metric v."""
    storage = open_storage(url)
    store = StudyStore.create_or_load(storage, name)
    for (x, rate), v in candidates.items():
        values = canonical(spec, {"x": x, "rate": rate})
        (number,) = store.start([Proposal(values, 1)], distributions(spec))
        store.finish(number, Conclusion(outcomes=(), values=[1.0], metrics={"v": v}))
    storage.engine.dispose()


@pytest.fixture
def spec(tmp_path: Path) -> StudySpec:
    return load(tmp_path, tiny_document(search={"warm_start": ["last-year"]}))


def never(_: Any) -> bool:
    return False


def test_the_best_by_todays_targets_come_first(spec: StudySpec, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    stored(url, "last-year", spec, {(1.0, 1.0): 11.0, (5.0, 5.0): 55.0, (6.0, 1.0): 61.0})
    studies = earlier_studies(spec, lambda _: [url])
    found = warm_candidates(spec, goals_of(spec), studies, limit=2, is_known=never)
    assert [one.values["x"] for one in found] == [5.0, 6.0]
    assert found[0].lineage == "warm start from last-year, trial 1"


def test_known_candidates_cost_nothing_and_all_come(spec: StudySpec, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    stored(url, "last-year", spec, {(float(x), 1.0): 10.0 * x + 1 for x in range(8)})
    studies = earlier_studies(spec, lambda _: [url])
    found = warm_candidates(
        spec, goals_of(spec), studies, limit=1, is_known=lambda values: values["x"] < 3
    )
    assert sorted(one.values["x"] for one in found) == [0.0, 1.0, 2.0, 5.0]


def test_candidates_are_fitted_to_todays_ranges(spec: StudySpec, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    stored(url, "last-year", spec, {(9.5, 1.0): 96.0, (2.5, 9.0): 34.0, (3.0, 2.0): 32.0})
    changed = tiny_document(
        parameters={
            "x": {"high": 8.0, "step": 1.0},
            "rate": None,
            "new": {"low": 0.0, "high": 4.0, "current": 2.0, "bind": {"var": "y"}},
        }
    )
    today = load(tmp_path, changed)
    studies = earlier_studies(spec, lambda _: [url])
    found = warm_candidates(today, goals_of(today), studies, limit=9, is_known=never)
    assert [dict(one.values) for one in found] in (
        [{"x": 2.0, "new": 2.0}, {"x": 3.0, "new": 2.0}],
        [{"x": 3.0, "new": 2.0}],
    )


def test_a_study_that_does_not_exist_is_named_with_the_nearest(
    spec: StudySpec, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    stored(url, "last-yeer", spec, {(1.0, 1.0): 11.0})
    missing = f"sqlite:///{tmp_path / 'none.db'}"
    with pytest.raises(SpecError, match=r"warm_start.*last-year.*last-yeer"):
        earlier_studies(spec, lambda _: [missing, url])
    assert not (tmp_path / "none.db").exists()
