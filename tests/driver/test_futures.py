"""Chance: what a seed does is known before the search, and in how many futures a plan holds."""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from searches import Search
from studies import FormulaFactory, tiny_document

from search.driver.appraiser import Appraiser
from search.driver.futures import Futures, fresh_seeds, noise_warnings
from search.driver.progress import SilentProgress
from search.driver.scouting import Scout
from search.study.chance import Noise, chance_of, jeffreys, window
from search.study.targets import Goal, effective, goals_of, is_met
from search.workers import InlinePool

DEVIATION = 1.0
SEED = 10
"""A seed that is one and a half deviations high."""


def drawn(seed: int) -> float:
    """Return a normal number that belongs to a seed."""
    digest = hashlib.sha256(str(seed).encode()).digest()
    u, v = (int.from_bytes(digest[i : i + 8], "big") / 2**64 for i in (0, 8))
    return DEVIATION * math.sqrt(-2 * math.log(u or 1e-300)) * math.cos(2 * math.pi * v)


def noisy(x: float, rate: float, seed: int) -> Mapping[str, float]:
    return {"v": 10 * x + rate + drawn(seed)}


def made(folder: Path, target: dict[str, Any], seeds: list[int], **search: Any) -> Search:
    document = tiny_document(
        scenario={"replications": {"var": "random_seed", "values": seeds}},
        search={"sampler": "target", "max_iterations": 10, "sensitivity": "none"} | search,
    )
    document["parameters"]["x"].pop("step")
    document["targets"] = {"v": target}
    return Search(folder, noisy, document)


def run(study: Search, notes: list[str]) -> Any:
    """Search with noise known, and return the end with the winner's futures."""

    class Notes(SilentProgress):
        def note(self, line: str) -> None:
            notes.append(line)

    with study._store() as store, InlinePool() as pool:
        pool.open(FormulaFactory(noisy))
        futures = Futures(study.spec, store, pool, Notes())
        scout = Scout(study.spec, store, futures, Notes())
        end = study.driven(store, pool, scout=scout)
        return end, Appraiser(study.spec, end, store, pool, Notes()).appraise().confirmation


def futures_met(study: Search, values: Mapping[str, Any], goal: Goal) -> float:
    plain = replace(goal, margin=0.0)
    seeds = range(1_000_000_000, 1_000_000_400)
    met = [is_met(plain, noisy(**values, seed=seed)["v"]) for seed in seeds]
    return sum(met) / len(met)


def test_a_preferred_plan_keeps_away_from_what_half_of_the_futures_miss(tmp_path: Path) -> None:
    """One seed, two deviations of room: the edge that is nearest to today is missed by half."""
    target = {"value": 55.0, "tolerance_abs": 2.5}
    sure = made(tmp_path / "sure", target, [SEED], polish=8, confirm_seeds=20)
    end, confirmation = run(sure, [])
    assert end.best is not None and confirmation is not None
    assert futures_met(sure, end.best.values, end.goals[0]) >= 0.8
    blind = made(tmp_path / "blind", target, [SEED], polish=8, confirm_seeds=0)
    there = blind.run()
    assert there.best is not None
    assert futures_met(blind, there.best.values, there.goals[0]) < 0.75


def test_how_many_futures_hold_is_told_with_an_interval(tmp_path: Path) -> None:
    target = {"value": 55.0, "tolerance_abs": 2.5}
    study = made(tmp_path, target, [11], polish=4)
    end, found = run(study, [])
    assert found is not None and len(found.seeds) == 20 == found.asked
    metrics = [noisy(**end.best.values, seed=int(seed))["v"] for seed in found.seeds]
    met = sum(abs(value - 55.0) <= 2.5 for value in metrics)
    assert (found.met, found.share_met) == (met, met / 20)
    assert found.interval == jeffreys(met, 20)
    (spread,) = found.spreads
    assert (spread.met, spread.p10 < spread.p50 < spread.p90) == (met, True)
    assert spread.modelled == pytest.approx(chance_of(goals_of(study.spec)[0], metrics))
    assert [one.seed for one in found.futures if one.is_searched] == [11]
    assert min(found.seeds) > 1000


def test_noise_that_no_tolerance_holds_is_told_before_the_search(tmp_path: Path) -> None:
    notes: list[str] = []
    study = made(tmp_path, {"value": 55.0, "tolerance_abs": 0.5}, [11], polish=0)
    run(study, notes)
    (line,) = [note for note in notes if note.startswith("warning: the seed alone")]
    assert "the seed alone moves v by" in line and "of futures; widen its tolerance" in line
    goal = Goal("v", "equal", value=55.0, tolerance=0.5, is_relative_tolerance=False)
    assert "38 % of futures" in noise_warnings([goal], {"v": Noise(0.0, 1.0, 6)})[0]
    assert noise_warnings([goal], {"v": Noise(0.0, 0.2, 6)}) == []


def test_a_seed_that_is_far_from_the_others_is_told() -> None:
    goal = Goal("v", "equal", value=55.0, tolerance=4.0, is_relative_tolerance=False)
    (line,) = noise_warnings([goal], {"v": Noise(3.0, 1.0, 6)})
    assert "under the seed of the search v is 3 less than under others on average" in line
    assert noise_warnings([goal], {"v": Noise(1.5, 1.0, 6)}) == []
    assert noise_warnings([goal], {"v": Noise(0.3, 0.1, 6)}) == []  # far, but what does it matter


@pytest.mark.parametrize(
    ("target", "probability"),
    [
        ({"at_most": 50.0}, 0.9),
        ({"at_least": 60.0, "tolerance": 0.01}, 0.9),
        ({"value": 55.0, "tolerance_abs": 3.0}, 0.9),
        ({"between": [40.0, 46.0]}, 0.95),
    ],
)
def test_chance_targets_are_met_in_so_many_fresh_futures(
    tmp_path: Path, target: dict[str, Any], probability: float
) -> None:
    seeds = [11, 12, 13, 14, 15, 16, 17, 18]
    study = made(tmp_path, target | {"probability": probability}, seeds, confirm_seeds=0)
    end = study.run()
    assert end.is_converged and end.best is not None and end.goals[0].margin > DEVIATION
    # The table of targets says what the headline says.
    assert is_met(end.goals[0], end.best.metrics["v"])
    assert end.trials <= 12
    assert futures_met(study, end.best.values, end.goals[0]) >= probability - 0.05


@pytest.mark.parametrize(
    ("goal", "low", "high"),
    [
        (Goal("v", "equal", value=10.0, tolerance=0.1, margin=0.4), 9.4, 10.6),
        (Goal("v", "at_most", high=10.0, tolerance=0.0, margin=0.4), -math.inf, 9.6),
        (Goal("v", "between", low=1.0, high=2.0, tolerance=0.0, margin=0.25), 1.25, 1.75),
        (Goal("v", "between", low=1.0, high=2.0, tolerance=0.0, margin=5.0), 1.5, 1.5),
    ],
)
def test_a_margin_is_taken_off_what_meets_the_target(goal: Goal, low: float, high: float) -> None:
    assert window(effective(goal)) == pytest.approx((low, high), abs=1e-4)
    assert is_met(goal, high if math.isinf(low) else (low + high) / 2)
    assert not is_met(goal, high + 0.01)


def test_fresh_seeds_are_new_and_the_same_each_time() -> None:
    seeds = fresh_seeds([1, 2, 3], 50, seed=4)
    assert len(set(seeds)) == 50 and seeds == fresh_seeds([1, 2, 3], 50, seed=4)
    assert fresh_seeds([seeds[0]], 3, seed=4)[0] == seeds[1]
    assert seeds != fresh_seeds([1, 2, 3], 50, seed=5)


CHANCE = {"value": 60.0, "tolerance_abs": 3.0, "probability": 0.9}


class KilledWhileScouting:
    """Ends its own process, as kill -9 does, at an evaluation under a seed of no trial."""

    def __init__(self, evaluation: int) -> None:
        self._left = evaluation

    def __call__(self, x: float, rate: float, seed: int) -> Mapping[str, float]:
        self._left -= seed != SEED
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return noisy(x, rate, seed)


def scouted(folder: Path, formula: Any = noisy) -> tuple[Any, list[Any], list[Any]]:
    """Search with chance; return the winner, what was scouted, and every candidate."""
    study = made(folder, CHANCE, [SEED])
    with study._store() as store, InlinePool() as pool:
        pool.open(FormulaFactory(formula))
        scout = Scout(study.spec, store, Futures(study.spec, store, pool, SilentProgress()),
                      SilentProgress())  # fmt: skip
        end = study.driven(store, pool, scout=scout)
        odds = scout.odds.documents()
    assert end.best is not None
    return end.best.values, odds, [trial.params for trial in study.trials()]


@pytest.mark.parametrize("evaluation", [3, 9, 20])
def test_a_search_that_is_killed_while_scouting_ends_as_one_that_was_not(
    tmp_path: Path, evaluation: int
) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    wanted = scouted(tmp_path / "whole")
    assert sum(len(plan["seeds"]) for plan in wanted[1]) > evaluation
    child = multiprocessing.get_context("fork").Process(
        target=scouted, args=(tmp_path / "killed", KilledWhileScouting(evaluation))
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert scouted(tmp_path / "killed") == wanted
