"""What a study recommends: the least change against a long search, effects, and its frontier.

Studies are those of ``benchmarks/chance.py`` without chance, with more parameters than targets.

    python benchmarks/advice.py least-change --seed 41 --studies 30
    python benchmarks/advice.py effects --seed 51 --studies 100
    python benchmarks/advice.py frontier --seed 61 --studies 20
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cmaes
import numpy as np
from chance import Problem, World, searched

from search.driver.effects import Effect
from search.driver.frontier import Frontier
from search.driver.results import SearchEnd
from search.sampling.choice import target_sampler
from search.storage.database import open_storage
from search.storage.study_store import StudyStore
from search.study import StudySpec
from search.study.preference import Preference, unit_of
from search.study.ranking import directions
from search.study.targets import goals_of, violation
from search.study.vary import parse_varies

REFERENCE = 5000
"""Evaluations of the reference search."""
POPULATION = 12


def problem(random: np.random.Generator) -> Problem:
    """Return a study of 4 to 8 parameters and 2 or 3 targets, without chance."""
    world = World(random)
    world.size, world.width = int(random.integers(4, 9)), int(random.integers(2, 4))
    world.slope = random.uniform(0.1, 1.0, (world.width, world.size))
    world.slope *= random.choice([-1.0, 1.0], world.slope.shape)
    world.bend = random.normal(0.0, 0.4, world.slope.shape)
    world.noise = np.zeros(world.width)
    world.mix = np.eye(world.width)
    wanted = world.metrics(random.uniform(0.2, 0.8, world.size), 1)
    document: Mapping[str, Any] = {
        "study": "advice",
        "scenario": {"dbt_project": ".", "steps": [{"sql": "select 1"}]},
        "parameters": world.parameters(random, 0.1, 0.9),
        "metrics": {f"m{i}": {"sql": "select 1"} for i in range(world.width)},
        "targets": {
            f"m{i}": {"value": float(value), "tolerance": float(random.uniform(0.002, 0.01))}
            for i, value in enumerate(wanted)
        },
        "search": {"sampler": "target", "max_iterations": 10, "batch_size": 4},
        "resources": {"workers": 0},
    }
    return Problem(world, document)


def point_of(values: Mapping[str, Any], world: World) -> np.ndarray:
    """Return a candidate as numbers."""
    return np.array([float(values[f"x{i}"]) for i in range(world.size)])


def reference_change(spec: StudySpec, one: Problem, seed: int) -> float:
    """Return the least change that CMA-ES with restarts finds, under a penalty for misses."""
    goals, preference = goals_of(spec), Preference.of(spec)
    best, left = np.inf, REFERENCE
    random = np.random.default_rng(seed)
    today = np.array([float(spec.parameters[f"x{i}"].current or 0) for i in range(one.world.size)])
    while left > 0:
        start = today if left == REFERENCE else random.uniform(0, 1, one.world.size)
        optimizer = cmaes.CMA(
            mean=start, sigma=0.25, seed=int(random.integers(1 << 30)), population_size=POPULATION,
            bounds=np.array([[0.0, 1.0]] * one.world.size),
        )  # fmt: skip
        while left > 0 and not optimizer.should_stop():
            told = []
            for _ in range(POPULATION):
                point = optimizer.ask()
                metrics = one.world.metrics(point, 1)
                excess = sum(
                    max(0.0, violation(goal, float(value)) - 1)
                    for goal, value in zip(goals, metrics, strict=True)
                )
                values = {f"x{i}": float(x) for i, x in enumerate(point)}
                change = preference.change(values)
                told.append((point, change + 10 * excess))
                best = min(best, change) if excess == 0 else best
                left -= 1
            optimizer.tell(told)
    return float(best)


def least_change(seed: int, studies: int) -> None:
    """Print the winner's change beside the reference's, and the sums."""
    random = np.random.default_rng(seed)
    near, costs, met = [], [], 0
    for number in range(studies):
        one = problem(random)
        with tempfile.TemporaryDirectory() as name:
            spec, end = searched(one, Path(name))
        if not end.is_converged or end.best is None:
            print(f"{number:3d}  {one.world.size} x {one.world.width}  missed", flush=True)
            continue
        met += 1
        ours = Preference.of(spec).change(end.best.values)
        least = reference_change(spec, one, seed + number)
        near.append(ours <= 1.10 * least + 0.01)
        costs.append(end.polished)
        print(
            f"{number:3d}  {one.world.size} x {one.world.width}  change {ours:.3f}, reference "
            f"{least:.3f}, {end.polished} more evaluations{'' if near[-1] else '  FARTHER'}",
            flush=True,
        )
    print(
        f"within 1.10 x + 0.01 of the reference: {sum(near)} of {len(near)} ({met} of {studies} "
        f"met); further evaluations: median {statistics.median(costs):g}"
    )


def effects(seed: int, studies: int) -> None:
    """Print how often a shown effect has the wrong sign, and what intervals cover."""
    random = np.random.default_rng(seed)
    large = wrong = shown = covered = 0
    for _ in range(studies):
        one = problem(random)
        with tempfile.TemporaryDirectory() as name:
            spec, end = searched(one, Path(name))
            found = _modelled(spec, end, Path(name))
        assert end.best is not None
        units = {goal.metric: unit_of(goal) for goal in end.goals}
        for effect in found:
            truth = _truth(one, end, effect)
            assert effect.interval is not None and effect.modelled is not None
            low, high = effect.interval
            shown += 1
            covered += low - 1e-12 <= truth <= high + 1e-12
            if abs(truth) > 0.1 * units[effect.metric]:
                large += 1
                wrong += effect.is_known and effect.modelled * truth < 0
    print(
        f"{studies} studies: of {large} effects above a tenth of the tolerance {wrong} are shown "
        f"with the wrong sign ({wrong / max(large, 1):.2%}); intervals cover {covered / shown:.1%} "
        f"of {shown}"
    )


def _modelled(spec: StudySpec, end: SearchEnd, folder: Path) -> list[Effect]:
    assert end.best is not None
    storage = open_storage(f"sqlite:///{folder / 'study.db'}")
    try:
        store = StudyStore.create_or_load(storage, "chance", directions=directions(goals_of(spec)))
        sampler = target_sampler(spec, end.goals)
        return [
            Effect(
                metric=found.metric,
                parameter=found.parameter,
                start=end.best.values[found.parameter],
                end=float(found.end),
                modelled=found.change,
                uncertainty=found.uncertainty,
            )
            for found in sampler.sensitivities(list(store.finished()), end.best.values)
        ]
    finally:
        storage.engine.dispose()


def _truth(one: Problem, end: SearchEnd, effect: Effect) -> float:
    """Return what the step does: half the difference of one up and one down where both fit."""
    assert end.best is not None
    metric, start = int(effect.metric[1:]), float(effect.start)
    step = float(effect.end) - start
    ends = [value for value in (start + step, start - step) if 0.0 <= value <= 1.0]

    def at(value: float) -> float:
        values = dict(end.best.values) | {effect.parameter: value}  # type: ignore[union-attr]
        return float(one.world.metrics(point_of(values, one.world), 1)[metric])

    changes = [(at(value) - at(start)) * (1 if value == start + step else -1) for value in ends]
    return statistics.fmean(changes)


def frontier(seed: int, studies: int) -> None:
    """Print how many new evaluations a point of a frontier of seven takes."""
    random = np.random.default_rng(seed)
    counts, met = [], 0
    for _ in range(studies):
        one = problem(random)
        with tempfile.TemporaryDirectory() as name:
            spec, end = searched(one, Path(name))
        level = float(one.document["targets"]["m0"]["value"])
        varies = parse_varies(spec, [f"m0={0.97 * level!r}:{1.03 * level!r}:7"])

        def evaluate(wanted: Sequence[Mapping[str, Any]], world: World = one.world) -> list[Any]:
            rows = [world.metrics(point_of(values, world), 1) for values in wanted]
            return [{f"m{i}": float(value) for i, value in enumerate(row)} for row in rows]

        found = Frontier(spec, end.goals, Preference.of(spec), end.complete, varies, evaluate)
        points = list(found.points())
        counts += [len(point.evaluated) for point in points]
        met += sum(point.is_met for point in points)
        print(
            f"{one.world.size} x {one.world.width}: {sum(p.is_met for p in points)} of 7 met, new "
            f"evaluations {[len(point.evaluated) for point in points]}",
            flush=True,
        )
    print(
        f"{studies} frontiers of 7 points: {met} of {len(counts)} points met, new evaluations a "
        f"point: median {statistics.median(counts):g}, mean {statistics.mean(counts):.1f}"
    )


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["least-change", "effects", "frontier"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--studies", type=int, default=30)
    options = parser.parse_args()
    began = time.process_time()
    run = {"least-change": least_change, "effects": effects, "frontier": frontier}[options.what]
    run(options.seed, options.studies)
    print(f"{time.process_time() - began:.0f} CPU s")


if __name__ == "__main__":
    main()
