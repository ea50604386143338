"""Evaluations until all targets are met: TargetSampler beside other samplers, on a toy workforce.

Problems come from a seeded generator: 2 to 12 parameters (some integers, some choices, some on a
grid), 2 to 6 targets with tolerances of 0.2 % to 5 %, solutions inside the ranges and at their
bounds, and targets that cannot be met. The toy has what makes a simulation of people hard: counts
are whole, medians jump, effects multiply over the years, draws are the same for every candidate.

    python benchmarks/convergence_analytic.py --seed 1 --problems 60 --samplers target
    python benchmarks/convergence_analytic.py --seed 2 --problems 20 --samplers tpe cmaes random
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.sampling.target import TargetSampler
from search.study.ranking import loss
from search.study.targets import Goal, all_met, variance

PEOPLE = 1500
YEARS = 5
LEVELS = 5
BASE_PAY = np.array([62e3, 90e3, 130e3, 190e3, 300e3])
LEAVING = np.array([1.3, 1.0, 0.85, 0.7, 0.6])
PROMOTION = np.array([1.5, 1.1, 0.8, 0.5, 0.0])
PAID_SHARE = {"january": 1.0, "april": 0.75, "july": 0.5, "anniversary": 0.54}
HIRE_MIX = {
    "junior": (0.75, 0.18, 0.05, 0.02, 0.0),
    "as is": (0.5, 0.27, 0.14, 0.07, 0.02),
    "senior": (0.3, 0.3, 0.25, 0.1, 0.05),
}
RANGES: dict[str, tuple[Any, ...]] = {
    # name: low, high, step of the gridded form
    "merit": (0.0, 0.08, 0.0005),
    "cola": (0.0, 0.05, 0.0005),
    "turnover": (0.05, 0.20, 0.0025),
    "growth": (-0.02, 0.08, 0.001),
    "hire_pay": (0.85, 1.20, 0.005),
    "promotion_rate": (0.02, 0.12, 0.001),
    "promotion_raise": (0.05, 0.25, 0.005),
    "bonus": (0.0, 0.2, 0.005),
    "retirement_age": (58, 70, 1),
    "waiting_years": (0, 5, 1),
    "timing": tuple(PAID_SHARE),
    "hire_mix": tuple(HIRE_MIX),
}
TODAY = {
    "merit": 0.035, "cola": 0.02, "turnover": 0.12, "growth": 0.03, "hire_pay": 1.0,
    "promotion_rate": 0.06, "promotion_raise": 0.12, "bonus": 0.08, "retirement_age": 65,
    "waiting_years": 1, "timing": "january", "hire_mix": "as is",
}  # fmt: skip
METRICS = (
    "total_cost", "last_cost", "average_pay", "headcount", "pay_growth", "median_pay",
    "promotions", "senior_share", "pay_spread", "hires",
)  # fmt: skip


class Company:
    """A toy workforce whose draws are fixed: the same candidate gives the same metrics."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self._level = random.choice(LEVELS, PEOPLE, p=[0.45, 0.28, 0.15, 0.09, 0.03])
        self._pay = BASE_PAY[self._level] * random.lognormal(0.0, 0.13, PEOPLE)
        self._age = np.clip(random.normal(42, 11, PEOPLE), 20, 69).astype(int)
        self._tenure = random.integers(0, 12, PEOPLE)
        self._draws = random.random((YEARS, 3, 4 * PEOPLE))
        self._luck = random.random((2, 4 * PEOPLE))

    def metrics(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Return the metrics of a candidate; parameters that it lacks are as today."""
        p = {**TODAY, **values}
        level, pay, age, tenure = (
            one.copy() for one in (self._level, self._pay, self._age, self._tenure)
        )
        ids, next_id = np.arange(PEOPLE), PEOPLE
        mix = np.cumsum(HIRE_MIX[p["hire_mix"]])
        share = PAID_SHARE[p["timing"]]
        costs, averages, promotions, hires = [], [float(pay.mean())], 0, 0
        for year in range(YEARS):
            leave, rise, _ = self._draws[year][:, ids]
            stays = (leave >= p["turnover"] * LEAVING[level]) & (age < p["retirement_age"])
            rise = rise[stays]
            level, pay, age, tenure, ids = (one[stays] for one in (level, pay, age, tenure, ids))
            promoted = rise < p["promotion_rate"] * PROMOTION[level] * (
                tenure >= p["waiting_years"]
            )
            promotions += int(promoted.sum())
            level = np.where(promoted, level + 1, level)
            before = np.where(promoted, np.round(pay * (1 + p["promotion_raise"]), 2), pay)
            pay = np.round(before * (1 + p["merit"] + p["cola"]), 2)
            paid = before + share * (pay - before)
            wanted = round(PEOPLE * (1 + p["growth"]) ** (year + 1))
            new = max(0, min(wanted - len(ids), 4 * PEOPLE - next_id))
            new_ids = np.arange(next_id, next_id + new)
            next_id, hires = next_id + new, hires + new
            new_level = np.searchsorted(mix, self._luck[0, new_ids] * mix[-1])
            new_level = np.minimum(new_level, LEVELS - 1)
            market = (1 + 0.5 * p["cola"]) ** (year + 1) * p["hire_pay"]
            new_pay = BASE_PAY[new_level] * market * (0.92 + 0.16 * self._luck[1, new_ids])
            cost = (paid * (1 + p["bonus"] * (0.5 + 0.25 * level))).sum() + 0.5 * new_pay.sum()
            level, pay = np.r_[level, new_level], np.r_[pay, new_pay]
            age, tenure = np.r_[age + 1, np.full(new, 33)], np.r_[tenure + 1, np.zeros(new, int)]
            ids = np.r_[ids, new_ids]
            costs.append(float(cost))
            averages.append(float(pay.mean()))
        return {
            "total_cost": sum(costs),
            "last_cost": costs[-1],
            "average_pay": averages[-1],
            "headcount": float(len(ids)),
            "pay_growth": (averages[-1] / averages[0]) ** (1 / YEARS) - 1 + 0.05,
            "median_pay": float(np.median(pay)),
            "promotions": float(promotions),
            "senior_share": float((level >= 2).mean()),
            "pay_spread": float(pay.std() / pay.mean()),
            "hires": float(hires),
        }


@dataclass
class Problem:
    """A study: what may change, what is wanted, and whether it can be had."""

    name: str
    company: Company
    space: dict[str, BaseDistribution]
    current: dict[str, Any]
    goals: tuple[Goal, ...]
    is_reachable: bool
    cache: dict[str, dict[str, float]] = field(default_factory=dict)

    def metrics(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Return the metrics of a candidate, computed once."""
        key = repr(sorted(values.items()))
        if key not in self.cache:
            self.cache[key] = self.company.metrics(values)
        return self.cache[key]


def problems(seed: int, count: int) -> list[Problem]:
    """Return that many problems; every fifth one cannot be met."""
    found = []
    for number in range(count):
        random = np.random.default_rng([seed, number])
        found.append(_problem(random, number, is_reachable=number % 5 != 4))
    return found


def _problem(random: np.random.Generator, number: int, *, is_reachable: bool) -> Problem:
    company = Company(int(random.integers(2**31)))
    while True:
        count = int(random.integers(2, len(RANGES) + 1))
        names = [str(name) for name in random.permutation(list(RANGES))[:count]]
        space = {name: _distribution(random, name) for name in names}
        current = {name: _today(name, space[name]) for name in names}
        sample = [company.metrics(_draw(random, space)) for _ in range(40)]
        alive = [
            name
            for name in METRICS
            if np.std([one[name] for one in sample]) > 0.01 * abs(sample[0][name])
        ]
        if len(alive) < 2:
            continue
        targets = int(random.integers(2, min(len(alive), count, 6) + 1))
        chosen = [str(name) for name in random.permutation(alive)[:targets]]
        hidden = _draw(random, space, at_bound=bool(random.random() < 0.4))
        reached = company.metrics(hidden)
        goals = [_goal(random, name, reached[name]) for name in chosen]
        if not is_reachable:
            goals = _spoiled(random, company, space, goals, sample)
        if all_met(goals, company.metrics(current)):
            continue
        label = f"{number}: {count}p {targets}t"
        return Problem(label, company, space, current, tuple(goals), is_reachable)


def _distribution(random: np.random.Generator, name: str) -> BaseDistribution:
    first, *rest = RANGES[name]
    if isinstance(first, str):
        return CategoricalDistribution(RANGES[name])
    high, step = rest
    if isinstance(first, int):
        return IntDistribution(first, high, step=step)
    return FloatDistribution(first, high, step=step if random.random() < 0.5 else None)


def _today(name: str, distribution: BaseDistribution) -> Any:
    assert distribution._contains(distribution.to_internal_repr(TODAY[name])), name
    return TODAY[name]


def _draw(
    random: np.random.Generator, space: Mapping[str, BaseDistribution], *, at_bound: bool = False
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, one in space.items():
        if isinstance(one, CategoricalDistribution):
            values[name] = one.choices[int(random.integers(len(one.choices)))]
            continue
        assert isinstance(one, (IntDistribution, FloatDistribution))
        share = float(random.uniform(0.1, 0.9))
        if at_bound and random.random() < 0.25:
            share = float(random.integers(2))
        value = one.low + share * (one.high - one.low)
        if one.step is not None:
            value = one.low + round((value - one.low) / one.step) * one.step
        value = min(max(value, one.low), one.high)
        values[name] = int(value) if isinstance(one, IntDistribution) else float(value)
    return values


def _goal(random: np.random.Generator, metric: str, value: float) -> Goal:
    tolerance = float(np.exp(random.uniform(np.log(0.002), np.log(0.05))))
    weight = float(random.choice([1.0, 2.0, 4.0]))
    form = random.random()
    if form < 0.7:
        aim = value * (1 + 0.5 * tolerance * random.uniform(-1, 1))
        return Goal(metric, "equal", value=aim, tolerance=tolerance, weight=weight)
    if form < 0.8:
        return Goal(
            metric, "equal", value=value, tolerance=tolerance * abs(value),
            is_relative_tolerance=False, weight=weight,
        )  # fmt: skip
    room = 0.5 * tolerance * abs(value)
    if form < 0.87:
        return Goal(metric, "at_most", high=value + room, tolerance=0.0, weight=weight)
    if form < 0.94:
        return Goal(metric, "at_least", low=value - room, tolerance=0.0, weight=weight)
    return Goal(
        metric, "between", low=value - room, high=value + room, tolerance=0.0, weight=weight
    )


def _spoiled(
    random: np.random.Generator,
    company: Company,
    space: Mapping[str, BaseDistribution],
    goals: list[Goal],
    sample: Sequence[Mapping[str, float]],
) -> list[Goal]:
    """Return the goals with one put where no candidate gets, or with three that contradict."""
    names = [goal.metric for goal in goals]
    metric = names[int(random.integers(len(names)))]
    if random.random() < 0.4 and {"growth", "merit"} & set(space):
        # Pay per head times heads is payroll: payroll_like = mean x headcount cannot differ.
        first = company.metrics(_draw(random, space))
        tolerance = 0.01
        off = 1 + float(random.choice([-1, 1])) * random.uniform(6, 15) * tolerance
        most = company_range(company, space, "last_cost", random)
        pay, heads = first["average_pay"], first["headcount"]
        ratio_most = max(one["last_cost"] / one["average_pay"] / one["headcount"] for one in sample)
        ratio_least = min(
            one["last_cost"] / one["average_pay"] / one["headcount"] for one in sample
        )
        ratio = ratio_most * (1 + 0.04) * off if off > 1 else ratio_least * (1 - 0.04) * off
        if most[0] < ratio * pay * heads < most[1]:
            return [
                Goal("average_pay", "equal", value=pay, tolerance=tolerance, weight=2.0),
                Goal("headcount", "equal", value=heads, tolerance=tolerance, weight=2.0),
                Goal("last_cost", "equal", value=ratio * pay * heads, tolerance=tolerance),
            ]
    low, high = company_range(company, space, metric, random)
    tolerance = 0.01
    up = random.random() < 0.5
    edge = high if up else low
    value = edge + (1 if up else -1) * abs(edge) * tolerance * random.uniform(4, 10)
    return [
        Goal(metric, "equal", value=float(value), tolerance=tolerance, weight=goal.weight)
        if goal.metric == metric
        else goal
        for goal in goals
    ]


def company_range(
    company: Company,
    space: Mapping[str, BaseDistribution],
    metric: str,
    random: np.random.Generator,
) -> tuple[float, float]:
    """Return the least and greatest value of a metric, by coordinate search from corners."""
    ends = []
    for sign in (-1.0, 1.0):
        best = -np.inf
        for _ in range(3):
            point = _draw(random, space)
            value = sign * company.metrics(point)[metric]
            for _ in range(2):
                for name, one in space.items():
                    for option in _options(one):
                        moved = {**point, name: option}
                        new = sign * company.metrics(moved)[metric]
                        if new > value:
                            point, value = moved, new
            best = max(best, value)
        ends.append(sign * best)
    return min(ends), max(ends)


def _options(one: BaseDistribution) -> Iterator[Any]:
    if isinstance(one, CategoricalDistribution):
        yield from one.choices
    else:
        assert isinstance(one, (IntDistribution, FloatDistribution))
        yield from (one.low, one.high)
        middle = one.low + (one.high - one.low) // 2 if isinstance(one, IntDistribution) else None
        if middle is not None:
            yield middle


# --- samplers -------------------------------------------------------------------


@dataclass
class Run:
    """How a sampler did on a problem."""

    evaluations: int | None
    iterations: int | None
    seconds: float
    proposals: int


def run(problem: Problem, kind: str, batch: int, limit: int, seed: int) -> Run:
    """Search until a candidate meets all targets or the evaluations are used up."""
    if kind == "proportional":
        return _proportional(problem, limit)
    study = optuna.create_study(sampler=SAMPLERS[kind](problem, batch, seed))
    study.enqueue_trial(problem.current)
    done, seconds, iteration = 0, 0.0, 0
    while done < limit + 1:
        size = 1 if iteration == 0 else min(batch, limit + 1 - done)
        trials = []
        for _ in range(size):
            began = time.process_time()
            trials.append(study.ask(problem.space))
            seconds += time.process_time() - began
        hit = False
        for trial in trials:
            metrics = problem.metrics(trial.params)
            for name, value in metrics.items():
                trial.set_user_attr(f"metric:{name}", value)
            study.tell(trial, loss(problem.goals, metrics))
            done += 1
            hit = hit or all_met(problem.goals, metrics)
        if hit:
            return Run(done, iteration, seconds, done)
        iteration += 1
    return Run(None, None, seconds, done)


def _proportional(problem: Problem, limit: int) -> Run:
    """Scale all numbers by a tenth of the mean variance, as spreadsheets do."""
    values = dict(problem.current)
    for step in range(limit + 1):
        metrics = problem.metrics(values)
        if all_met(problem.goals, metrics):
            return Run(step + 1, step, 0.0, step + 1)
        off = statistics.fmean(variance(goal, metrics[goal.metric]) for goal in problem.goals)
        for name, one in problem.space.items():
            if isinstance(one, CategoricalDistribution):
                continue
            assert isinstance(one, (IntDistribution, FloatDistribution))
            value = values[name] * (1 - 0.1 * off)
            if isinstance(one, IntDistribution):
                value = round(value)
            values[name] = min(max(value, one.low), one.high)
    return Run(None, None, 0.0, limit + 1)


def _quiet(make: Callable[[], optuna.samplers.BaseSampler]) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


SAMPLERS: dict[str, Callable[[Problem, int, int], optuna.samplers.BaseSampler]] = {
    "target": lambda problem, batch, seed: TargetSampler(
        problem.goals, current=problem.current, seed=seed, distributions=problem.space
    ),
    "tpe": lambda problem, batch, seed: _quiet(lambda: optuna.samplers.TPESampler(seed=seed)),
    "cmaes": lambda problem, batch, seed: _quiet(
        lambda: optuna.samplers.CmaEsSampler(
            seed=seed, popsize=max(batch, 4), warn_independent_sampling=False
        )
    ),
    "random": lambda problem, batch, seed: optuna.samplers.RandomSampler(seed=seed),
}


def summarise(runs: Sequence[Run], iterations: int) -> dict[str, Any]:
    """Return the row of a table."""
    reached = [one for one in runs if one.iterations is not None and one.iterations <= iterations]
    counts = sorted(one.evaluations if one.evaluations is not None else 10**9 for one in runs)
    proposals = sum(one.proposals for one in runs)
    middle = statistics.median(counts)
    tail = counts[min(len(counts) - 1, int(0.9 * len(counts)))]
    return {
        "converged_within_iterations": len(reached) / len(runs),
        "evaluations_median": middle if middle < 10**9 else None,
        "evaluations_p90": tail if tail < 10**9 else None,
        "milliseconds_per_proposal": 1e3 * sum(one.seconds for one in runs) / max(proposals, 1),
    }


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--problems", type=int, default=50)
    parser.add_argument("--samplers", nargs="+", default=["target"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--limit", type=int, help="evaluations of a run; iterations x batch")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    suite = [one for one in problems(options.seed, options.problems) if one.is_reachable]
    print(f"seed {options.seed}: {len(suite)} reachable problems")
    print("| sampler | batch | within 10 iterations | median | p90 | ms/proposal |")
    print("|---|---|---|---|---|---|")
    for kind, batch in itertools.product(options.samplers, options.batches):
        limit = options.limit or options.iterations * batch
        runs = [run(problem, kind, batch, limit, seed=7) for problem in suite]
        row = summarise(runs, options.iterations)
        if options.json:
            print(json.dumps({"sampler": kind, "batch": batch, **row}))
        else:
            print(
                f"| {kind} | {batch} | {row['converged_within_iterations']:.0%} | "
                f"{row['evaluations_median']} | {row['evaluations_p90']} | "
                f"{row['milliseconds_per_proposal']:.1f} |",
                flush=True,
            )
        if options.verbose:
            for problem, one in zip(suite, runs, strict=True):
                print(f"    {problem.name}: {one.evaluations} ({one.iterations})")


if __name__ == "__main__":
    main()
