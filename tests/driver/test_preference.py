"""Among all that meet the targets, the plan that is wanted; and what else there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recorded_searches import RECORDED, curved
from searches import Died, Formula, Search, Stop
from studies import TINY

from search.storage.attributes import POLISHING
from search.storage.trials import read_trials
from search.study.alternatives import alternatives, names
from search.study.preference import MARGIN, Preference
from search.study.targets import all_met, violation

TARGETS = {"u": {"value": 4.1, "tolerance": 2e-3}, "w": {"value": -2.2, "tolerance": 2e-3}}
LEAST = 0.562
"""Least change that meets them, by Newton's method from 200 starts for each set of parameters."""


def made(folder: Path, formula: Formula = curved, **search: Any) -> Search:
    document = RECORDED["curved"].document(TINY)
    document["targets"] = TARGETS
    document["search"] = document["search"] | {"max_iterations": 12} | search
    return Search(folder, formula, document)


def test_the_winner_is_the_least_change_and_keeps_a_tenth_of_each_tolerance(tmp_path: Path) -> None:
    study = made(tmp_path, polish=8, prefer="least_change")
    end = study.run()
    assert end.best is not None and end.is_converged and 1 <= end.polished <= 8
    preference = Preference.of(study.spec)
    assert preference.change(end.best.values) <= 1.1 * LEAST + 0.01
    assert all(violation(goal, end.best.metrics[goal.metric]) <= 1 - MARGIN for goal in end.goals)
    before = made(tmp_path / "none", polish=0, prefer="none").run()
    assert before.best is not None
    assert preference.change(before.best.values) > 1.2 * LEAST
    # What leads to the first hit is the same search.
    count = before.trials
    assert [t.values for t in end.complete][:count] == [t.values for t in before.complete]
    lineages = [trial.lineage in POLISHING for trial in read_trials(study.trials())]
    assert lineages == [False] * count + [True] * end.polished


def test_alternatives_meet_every_target_and_say_how_they_differ(tmp_path: Path) -> None:
    end = made(tmp_path, polish=8, prefer="least_change").run()
    assert end.best is not None and 1 <= len(end.alternatives) <= 3
    metrics = {trial.number: trial.metrics for trial in end.complete}
    assert all(all_met(end.goals, metrics[one.trial]) for one in end.alternatives)
    assert len({one.name for one in end.alternatives}) == len(end.alternatives)
    assert [one.differs for one in end.alternatives] == sorted(
        (one.differs for one in end.alternatives), reverse=True
    )


def test_an_interrupted_polish_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    undisturbed = made(tmp_path / "a", polish=8, prefer="least_change")
    end = undisturbed.run()
    first = end.trials - end.polished
    study = made(tmp_path / "b", Stop(first + 2, curved), polish=8, prefer="least_change")
    with pytest.raises(Died):
        study.run()
    finished = [one.number for one in study.trials() if one.state.is_finished()]
    assert len(finished) == first + 1
    again = study.run()
    assert [t.values for t in again.complete] == [t.values for t in end.complete]
    assert again.polished == end.polished
    assert all(study.evaluated().count(number) == 1 for number in finished)
    assert study.run().trials == end.trials  # and asked once more, nothing is evaluated


@pytest.mark.parametrize(
    ("prefer", "wanted"),
    [("center", lambda t: max(abs(t.metrics["u"] / 4.1 - 1), abs(t.metrics["w"] / -2.2 - 1))),
     ("a - 3 * d", lambda t: t.values["a"] - 3 * t.values["d"])],
)  # fmt: skip
def test_other_preferences_choose_among_what_meets_the_targets(
    tmp_path: Path, prefer: str, wanted: Callable[[Any], float]
) -> None:
    end = made(tmp_path, polish=8, prefer=prefer).run()
    assert end.best is not None and end.polished >= 1
    met = [t for t in end.complete if all_met(end.goals, t.metrics)]
    safe = [t for t in met if max(violation(g, t.metrics[g.metric]) for g in end.goals) <= 0.9]
    assert wanted(end.best) == pytest.approx(min(wanted(one) for one in safe or met))
    first = next(t for t in end.complete if all_met(end.goals, t.metrics))
    assert wanted(end.best) <= wanted(first)


def test_a_weight_decides_what_is_left_as_it_is(tmp_path: Path) -> None:
    study = made(tmp_path, polish=8, prefer="least_change")
    values = {"a": 1.0, "b": 0.0, "c": -2.0, "d": 0.0}
    assert Preference.of(study.spec).change(values) == pytest.approx(0.25 + 0.5)
    document = RECORDED["curved"].document(TINY)
    document["parameters"]["c"] |= {"weight": 3}
    document["parameters"]["a"] |= {"weight": 0}
    weighted = Search(tmp_path / "w", curved, document)
    assert Preference.of(weighted.spec).change(values) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"a": 1.5, "b": 0.0, "c": 0.0, "d": 0.0}, "moves a alone"),
        ({"a": 0.0, "b": 0.5, "c": 0.0, "d": 1.0}, "keeps a at 0"),
        ({"a": 1.0, "b": 0.5, "c": 0.0, "d": 0.0}, "less b: 0.5 instead of 1"),
    ],
)
def test_names_say_how_a_plan_differs(tmp_path: Path, other: dict[str, float], name: str) -> None:
    study = made(tmp_path)
    winner = {"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.0}
    assert names(study.spec, winner, other)[0] == name


def test_alternatives_that_are_all_but_the_same_are_no_choice(tmp_path: Path) -> None:
    spec = made(tmp_path).spec
    winner = {"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.0}
    near = winner | {"a": 1.2}
    far, farther = winner | {"b": 0.0}, winner | {"b": -1.0}
    found = alternatives(spec, [(7, winner), (8, near), (9, far), (10, farther)])
    assert [one.trial for one in found] == [10, 9]
    assert [one.name for one in found] == ["less b: -1 instead of 1", "moves a alone"]
