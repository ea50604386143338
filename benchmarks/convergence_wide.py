"""Thirty parameters and ten targets, on the toy workforce with a lever for each level.

The company of ``convergence_analytic.py`` with merit, turnover, hiring pay and bonus for each of
five levels, promotion rate and raise for each of four, growth and cost of living: 30 parameters.
Ten of its metrics are to be what a hidden candidate has, within 0.2 % to 5 %.

    python benchmarks/convergence_wide.py --seed 1 --problems 20
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from convergence_analytic import (
    BASE_PAY,
    HIRE_MIX,
    LEAVING,
    LEVELS,
    PEOPLE,
    PROMOTION,
    RANGES,
    TODAY,
    YEARS,
    Company,
    Problem,
    run,
    summarise,
)
from optuna.distributions import BaseDistribution, FloatDistribution

from search.study.targets import Goal, all_met

TARGETS, BATCH, ITERATIONS = 10, 8, 10
BY_LEVEL = {
    "merit": 5, "turnover": 5, "hire_pay": 5, "bonus": 5, "promotion_rate": 4,
    "promotion_raise": 4,
}  # fmt: skip
"""Levers, and how many levels have one of their own."""
COMMON = ("growth", "cola")


def space() -> dict[str, BaseDistribution]:
    """Return the thirty parameters."""
    names = [(f"{name}_{level}", name) for name, n in BY_LEVEL.items() for level in range(n)]
    names += [(name, name) for name in COMMON]
    return {key: FloatDistribution(*RANGES[name][:2]) for key, name in names}


class LevelCompany(Company):
    """The toy workforce with levers for each level."""

    def metrics(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Return cost, and people, pay and promotions by level."""

        def levers(name: str) -> np.ndarray:
            own = [float(values[f"{name}_{level}"]) for level in range(BY_LEVEL[name])]
            return np.array((own + [0.0] * LEVELS)[:LEVELS])

        merit, leaving, hiring = levers("merit"), levers("turnover"), levers("hire_pay")
        bonus, rising, raised = (levers(n) for n in ("bonus", "promotion_rate", "promotion_raise"))
        growth, cola = float(values["growth"]), float(values["cola"])
        level, pay, age = self._level.copy(), self._pay.copy(), self._age.copy()
        ids, next_id, costs, promotions = np.arange(PEOPLE), PEOPLE, [], 0
        mix = np.cumsum(HIRE_MIX["as is"])
        for year in range(YEARS):
            leave, rise, _ = self._draws[year][:, ids]
            stays = (leave >= (leaving * LEAVING)[level]) & (age < TODAY["retirement_age"])
            rise = rise[stays]
            level, pay, age, ids = (one[stays] for one in (level, pay, age, ids))
            promoted = rise < (rising * PROMOTION)[level]
            promotions += int(promoted.sum())
            pay = np.where(promoted, pay * (1 + raised[level]), pay)
            level = np.where(promoted, level + 1, level)
            pay = np.round(pay * (1 + merit[level] + cola), 2)
            wanted = round(PEOPLE * (1 + growth) ** (year + 1))
            new = max(0, min(wanted - len(ids), 4 * PEOPLE - next_id))
            new_ids = np.arange(next_id, next_id + new)
            next_id += new
            new_level = np.minimum(np.searchsorted(mix, self._luck[0, new_ids] * mix[-1]), 4)
            new_pay = (
                BASE_PAY[new_level] * hiring[new_level] * (0.92 + 0.16 * self._luck[1, new_ids])
            )
            costs.append(float((pay * (1 + bonus[level])).sum() + 0.5 * new_pay.sum()))
            level, pay = np.r_[level, new_level], np.r_[pay, new_pay]
            age, ids = np.r_[age + 1, np.full(new, 33)], np.r_[ids, new_ids]
        by_level = {
            f"{name}_{one}": float(of(one))
            for one in range(LEVELS)
            for name, of in (
                ("heads", lambda one: (level == one).sum()),
                ("pay", lambda one: pay[level == one].mean()),
            )
        }
        return by_level | {
            "total_cost": math.fsum(costs), "last_cost": costs[-1],
            "average_pay": float(pay.mean()), "median_pay": float(np.median(pay)),
            "promotions": float(promotions), "headcount": float(len(ids)),
        }  # fmt: skip


def problem(random: np.random.Generator, number: int) -> Problem:
    """Return a study that can be met, and is not met today."""
    company, levers = LevelCompany(int(random.integers(2**31))), space()
    today = {name: TODAY[name.rstrip("_01234")] for name in levers}
    while True:
        hidden = {
            name: float(one.low + random.uniform(0.1, 0.9) * (one.high - one.low))  # type: ignore[attr-defined]
            for name, one in levers.items()
        }
        reached = company.metrics(hidden)
        goals = tuple(
            Goal(
                name, "equal", value=reached[name],
                tolerance=float(np.exp(random.uniform(np.log(0.002), np.log(0.05)))),
            )
            for name in map(str, random.permutation(sorted(reached))[:TARGETS])
        )  # fmt: skip
        if not all_met(goals, company.metrics(today)):
            return Problem(f"{number}: 30p 10t", company, levers, today, goals, is_reachable=True)


def main() -> None:
    """Print a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--problems", type=int, default=20)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    began, runs = time.process_time(), []
    for number in range(options.problems):
        one = problem(np.random.default_rng([options.seed, number]), number)
        runs.append(run(one, "target", BATCH, ITERATIONS * BATCH, seed=7))
        print(f"{one.name}: {runs[-1].evaluations} ({runs[-1].iterations})", flush=True)
    row = summarise(runs, ITERATIONS)
    print(
        f"met within {ITERATIONS} iterations of {BATCH}: "
        f"{row['converged_within_iterations']:.0%} of {len(runs)}, evaluations: median "
        f"{row['evaluations_median']}, p90 {row['evaluations_p90']}; "
        f"{row['milliseconds_per_proposal']:.0f} ms a proposal; "
        f"{time.process_time() - began:.0f} CPU s"
    )


if __name__ == "__main__":
    main()
