"""A frontier: for each value of a target the plan that meets the others, from few evaluations."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from studies import load

from search.driver.frontier import Frontier, FrontierPoint
from search.driver.results import CompleteTrial
from search.errors import SpecError
from search.study import StudySpec
from search.study.preference import Preference
from search.study.space import canonical, current_candidate
from search.study.targets import all_met, goals_of, resolve_goals
from search.study.vary import Vary, goals_at, levels_of, parse_varies

Evaluated = list[dict[str, Any]]


def formula(values: Mapping[str, Any]) -> dict[str, float]:
    """Pay, people and growth of a small company: curved, with a cost that has a least value."""
    merit, hires, cola = (float(values[name]) for name in ("merit", "hires", "cola"))
    people = 1000 * math.exp(hires)
    growth = merit + 0.8 * cola - 0.1 * hires
    return {"cost": 60.0 * people * (1 + growth) ** 2, "people": people, "growth": growth}


def document(**targets: Any) -> dict[str, Any]:
    return {
        "study": "front",
        "scenario": {"dbt_project": ".", "steps": [{"sql": "select 1"}]},
        "parameters": {
            "merit": {"low": 0.0, "high": 0.08, "current": 0.03, "bind": {"var": "merit"}},
            "cola": {"low": 0.0, "high": 0.04, "current": 0.02, "bind": {"var": "cola"}},
            "hires": {"low": -0.2, "high": 0.2, "current": 0.0, "bind": {"var": "hires"}},
        },
        "metrics": {
            "cost": {"sql": "select 1", "unit": "USD"},
            "people": {"sql": "select 1"},
            "growth": {"sql": "select 1", "unit": "fraction"},
        },
        "targets": {
            "cost": {"value": 66000.0, "tolerance": 0.005},
            "people": {"value": 1010.0, "tolerance": 0.01},
            **targets,
        },
    }


def study(folder: Path, **targets: Any) -> StudySpec:
    return load(folder, document(**targets))


def frontier_of(spec: StudySpec, varies: Sequence[Vary], log: Evaluated) -> Frontier:
    """Return a frontier of a study that has evaluated today and four other candidates."""
    today = current_candidate(spec)
    near = [{}, {"merit": 0.05}, {"hires": 0.1}, {"cola": 0.0, "merit": 0.02}, {"hires": 0.02}]
    candidates = [canonical(spec, dict(today) | one) for one in near]
    trials = [CompleteTrial(i, int(i > 0), one, formula(one)) for i, one in enumerate(candidates)]

    def evaluate(wanted: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
        log.extend(dict(one) for one in wanted)
        return [formula(one) for one in wanted]

    goals = resolve_goals(goals_of(spec), formula(today))
    return Frontier(spec, goals, Preference.of(spec), trials, varies, evaluate)


def test_every_point_meets_the_other_targets_with_few_evaluations(tmp_path: Path) -> None:
    spec = study(tmp_path)
    (vary,) = varies = parse_varies(spec, ["cost=62000:68000:4"])
    log: Evaluated = []
    points = list(frontier_of(spec, varies, log).points())
    assert sorted(point.levels["cost"] for point in points) == list(vary.values)
    goals = goals_of(spec)
    for point in points:
        assert point.is_met and point.reason is None
        assert all_met(goals_at(goals, point.levels, spec), formula(point.values))
        assert point.metrics == formula(point.values)
    assert statistics.median(len(point.evaluated) for point in points) <= 4
    assert sum(len(point.evaluated) for point in points) == len(log)


def test_a_point_out_of_reach_says_why_and_shows_the_nearest(tmp_path: Path) -> None:
    spec = study(tmp_path)
    points = list(frontier_of(spec, parse_varies(spec, ["cost=66000:140000:2"]), []).points())
    (far,) = [point for point in points if point.levels["cost"] == 140000.0]
    assert not far.is_met and far.reason is not None and "nearest plan misses" in far.reason
    assert "cost" in far.reason and far.values


def test_what_was_solved_is_not_solved_again(tmp_path: Path) -> None:
    """A frontier that was killed after two points ends as one that was not."""
    spec = study(tmp_path)
    varies = parse_varies(spec, ["cost=62000:68000:4"])
    whole = list(frontier_of(spec, varies, []).points())
    stored = [FrontierPoint(**point.document()) for point in whole[:2]]
    log: Evaluated = []
    rest = list(frontier_of(spec, varies, log).points(stored))
    assert rest == whole[2:]
    assert len(log) == sum(len(point.evaluated) for point in whole[2:])


def test_a_map_of_two_targets_and_an_objective(tmp_path: Path) -> None:
    spec = study(tmp_path, growth={"maximize": True})
    varies = parse_varies(spec, ["cost=62000:68000:3", "people=990:1030:2"])
    points = list(frontier_of(spec, varies, []).points())
    assert len(points) == 6 == len(levels_of(varies)) and all(point.is_met for point in points)
    growth = {tuple(point.levels.values()): point.metrics["growth"] for point in points}
    # More money and fewer people: more growth. The best is (cost / 60 / people)^(1/2) - 1.
    for (cost, people), reached in growth.items():
        best = math.sqrt(cost * 1.005 / 60 / (people * 0.99)) - 1
        assert best - 0.006 <= reached <= best + 1e-9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cost", "must be metric=low:high:count"),
        ("costs=1:2:3", "must name a metric, of which there are cost, people, growth"),
        ("cost=2:1:3", "must go from low to high"),
        ("cost=one:2:3", "must have numbers"),
        ("cost=1:inf:3", "must have numbers"),
        ("cost=1:2:1", "must have 2 to 200 values"),
        ("cost=1:2:9999", "must have 2 to 200 values"),
        ("growth=1:2:3", "growth is to be maximized"),
    ],
)
def test_bad_axes_are_answered(tmp_path: Path, text: str, said: str) -> None:
    spec = study(tmp_path, growth={"maximize": True})
    with pytest.raises(SpecError, match=said):
        parse_varies(spec, [text])


def test_bad_combinations_of_axes_are_answered(tmp_path: Path) -> None:
    spec = study(tmp_path)
    for texts, said in (
        (["cost=1:2:3", "cost=1:2:3"], "two metrics"),
        (["cost=1:2:3", "people=1:2:3", "growth=1:2:3"], "once, or twice"),
        (["cost=1:2:100", "people=1:2:100"], "at most 200 points"),
    ):
        with pytest.raises(SpecError, match=said):
            parse_varies(spec, texts)
    (axis,) = parse_varies(spec, ["growth=2%:4 %:3"])
    assert axis.values == (0.02, 0.03, 0.04) and axis.shown(0.03) == "3 %"
