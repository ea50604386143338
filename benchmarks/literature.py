"""Systems that are not ours: does the sampler meet their targets, beside TPE and CMA-ES?

Nonlinear systems of the collection of More, Garbow and Hillstrom (solved where all residuals are
0), a least one with a jump and one with a local minimum among them; an SIR epidemic; an (s, S)
inventory whose demand is drawn, the same draws for every candidate; a queue with several servers.

    python benchmarks/literature.py --samplers target tpe cmaes
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from convergence_analytic import SAMPLERS, Problem, run
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from search.study.targets import Goal

LIMIT = 40
"""Evaluations beside the current parameters, at most."""
SEEDS = (7, 8, 9)


@dataclass(frozen=True)
class System:
    """A system with a solution, and where a search of it starts.

    Attributes:
        name: As the literature has it.
        space: Name to range of each unknown.
        start: Today's values.
        metrics: What comes out.
        targets: Metric to wanted value and allowed distance, in its unit.
        source: Where it is from.
    """

    name: str
    space: Mapping[str, BaseDistribution]
    start: Mapping[str, Any]
    metrics: Callable[[Mapping[str, Any]], Mapping[str, float]]
    targets: Mapping[str, tuple[float, float]]
    source: str

    def problem(self) -> Problem:
        """Return it as the analytic benchmark has its problems."""
        goals = [
            Goal(name, "equal", value=value, tolerance=width, is_relative_tolerance=False)
            for name, (value, width) in self.targets.items()
        ]
        return Problem(
            name=self.name,
            company=self,  # type: ignore[arg-type]  # what has metrics
            space=dict(self.space),
            current=dict(self.start),
            goals=tuple(goals),
            is_reachable=True,
        )


def _box(low: float, high: float, count: int) -> dict[str, BaseDistribution]:
    return {f"x{i + 1}": FloatDistribution(low, high) for i in range(count)}


def _residuals(function: Callable[..., tuple[float, ...]]) -> Callable[..., dict[str, float]]:
    def metrics(values: Mapping[str, Any]) -> dict[str, float]:
        found = function(*(float(values[f"x{i + 1}"]) for i in range(len(values))))
        return {f"r{i + 1}": float(value) for i, value in enumerate(found)}

    return metrics


def _mgh(
    name: str,
    function: Callable[..., tuple[float, ...]],
    start: tuple[float, ...],
    ends: tuple[float, float],
    width: float,
    number: int,
) -> System:
    count = len(function(*start))
    return System(
        name,
        _box(*ends, len(start)),
        {f"x{i + 1}": value for i, value in enumerate(start)},
        _residuals(function),
        {f"r{i + 1}": (0.0, width) for i in range(count)},
        f"More, Garbow and Hillstrom (1981), number {number}",
    )


def _helical(x: float, y: float, z: float) -> tuple[float, ...]:
    angle = math.atan2(y, x) / (2 * math.pi)
    return 10 * (z - 10 * angle), 10 * (math.hypot(x, y) - 1), z


def _powell_singular(a: float, b: float, c: float, d: float) -> tuple[float, ...]:
    return a + 10 * b, math.sqrt(5) * (c - d), (b - 2 * c) ** 2, math.sqrt(10) * (a - d) ** 2


def _trigonometric(*x: float) -> tuple[float, ...]:
    n, total = len(x), sum(math.cos(one) for one in x)
    return tuple(
        n - total + (i + 1) * (1 - math.cos(one)) - math.sin(one) for i, one in enumerate(x)
    )


def _broyden(*x: float) -> tuple[float, ...]:
    padded = [0.0, *x, 0.0]
    return tuple(
        (3 - 2 * padded[i]) * padded[i] - padded[i - 1] - 2 * padded[i + 1] + 1
        for i in range(1, len(x) + 1)
    )


def _epidemic(values: Mapping[str, Any]) -> dict[str, float]:
    """Return height and day of the peak, and who was ill in the end, by Euler's steps."""
    beta, gamma, first = (float(values[name]) for name in ("contacts", "recovery", "seeded"))
    susceptible, infected, peak, day = 1.0 - first, first, 0.0, 0.0
    for step in range(4000):
        new, well = beta * susceptible * infected, gamma * infected
        susceptible, infected = susceptible - 0.1 * new, infected + 0.1 * (new - well)
        if infected > peak:
            peak, day = infected, 0.1 * step
    return {"peak": peak, "peak_day": day, "ever_ill": 1.0 - susceptible - infected}


DEMAND = np.random.default_rng(5).poisson(20.0, 2000)


def _inventory(values: Mapping[str, Any]) -> dict[str, float]:
    """Return cost a day, share of demand served and orders a year; deliveries take two days."""
    low, high = int(values["reorder_at"]), int(values["reorder_at"]) + int(values["order_size"])
    stock, due, cost, served, orders = float(high), [0.0, 0.0], 0.0, 0.0, 0
    for demand in DEMAND:
        stock += due.pop(0)
        sold = min(stock, float(demand))
        stock, served = stock - sold, served + sold
        wanted = 0.0
        if stock + due[0] <= low:
            wanted, orders = high - stock - due[0], orders + 1
        due.append(wanted)
        cost += 0.5 * stock + (64.0 if wanted else 0.0) + 4.0 * (float(demand) - sold)
    days = len(DEMAND)
    share = served / float(DEMAND.sum())
    return {"cost": cost / days, "served": share, "orders": 365.0 * orders / days}


def _queue(values: Mapping[str, Any]) -> dict[str, float]:
    """Return waiting time, utilisation and share that waits, by Erlang's C formula."""
    arrivals, service, count = (
        float(values["arrivals"]),
        float(values["service"]),
        int(values["servers"]),
    )
    load = arrivals / service
    busy = load / count
    if busy >= 0.999:
        return {"wait": 60.0 + 100.0 * (busy - 0.999), "busy": busy, "waits": 1.0}
    terms = [load**k / math.factorial(k) for k in range(count)]
    last = load**count / math.factorial(count) / (1 - busy)
    waits = last / (sum(terms) + last)
    return {"wait": 60.0 * waits / (count * service - arrivals), "busy": busy, "waits": waits}


def _of_solution(
    name: str,
    space: Mapping[str, BaseDistribution],
    start: Mapping[str, Any],
    metrics: Callable[[Mapping[str, Any]], Mapping[str, float]],
    solution: Mapping[str, Any],
    width: float,
    source: str,
) -> System:
    reached = metrics(solution)
    targets = {key: (value, width * max(abs(value), 1e-3)) for key, value in reached.items()}
    return System(name, space, start, metrics, targets, source)


def systems() -> list[System]:
    """Return the suite, in the order of its table."""
    return [
        _mgh("Rosenbrock", lambda x, y: (10 * (y - x * x), 1 - x), (-1.2, 1.0), (-2, 2), 0.05, 1),
        _mgh(
            "Freudenstein and Roth",
            lambda x, y: (
                -13 + x + ((5 - y) * y - 2) * y,
                -29 + x + ((y + 1) * y - 14) * y,
            ),
            (0.5, -2.0), (-15, 15), 0.5, 2,
        ),
        _mgh("Helical valley", _helical, (-1.0, 0.0, 0.0), (-2, 2), 0.2, 7),
        _mgh("Powell singular", _powell_singular, (3.0, -1.0, 0.0, 1.0), (-4, 4), 0.05, 13),
        _mgh("Trigonometric", _trigonometric, (0.2,) * 5, (-1, 1), 0.01, 26),
        _mgh("Broyden tridiagonal", _broyden, (-1.0,) * 6, (-2, 1), 0.05, 30),
        _of_solution(
            "SIR epidemic",
            {
                "contacts": FloatDistribution(0.1, 0.6),
                "recovery": FloatDistribution(0.05, 0.25),
                "seeded": FloatDistribution(1e-5, 1e-2, log=True),
            },
            {"contacts": 0.5, "recovery": 0.2, "seeded": 1e-4}, _epidemic,
            {"contacts": 0.31, "recovery": 0.11, "seeded": 8e-4}, 0.01,
            "Kermack and McKendrick (1927)",
        ),
        _of_solution(
            "(s, S) inventory",
            {"reorder_at": IntDistribution(0, 150), "order_size": IntDistribution(10, 300)},
            {"reorder_at": 20, "order_size": 50}, _inventory,
            {"reorder_at": 64, "order_size": 118}, 0.015,
            "Scarf (1960); demand drawn, Poisson",
        ),
        _of_solution(
            "Queue",
            {
                "arrivals": FloatDistribution(2.0, 12.0),
                "service": FloatDistribution(0.5, 3.0),
                "servers": IntDistribution(2, 12),
            },
            {"arrivals": 4.0, "service": 1.0, "servers": 8}, _queue,
            {"arrivals": 8.0, "service": 1.6, "servers": 6}, 0.02,
            "Erlang (1917)",
        ),
    ]  # fmt: skip


def main() -> None:
    """Print a row for each system, sampler and batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samplers", nargs="+", default=["target"], choices=list(SAMPLERS))
    parser.add_argument("--batches", nargs="+", type=int, default=[4, 1])
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    print(f"| system | sampler | batch | met of {len(SEEDS)} | evaluations |")
    print("|---|---|---|---|---|")
    for kind, batch in itertools.product(options.samplers, options.batches):
        met, began = 0, time.process_time()
        for system in systems():
            runs = [run(system.problem(), kind, batch, LIMIT, seed) for seed in SEEDS]
            counts = [one.evaluations for one in runs]
            met += sum(one is not None for one in counts)
            shown = ", ".join("-" if one is None else str(one) for one in counts)
            hits = sum(one is not None for one in counts)
            print(f"| {system.name} | {kind} | {batch} | {hits} | {shown} |", flush=True)
        total = len(SEEDS) * len(systems())
        seconds = time.process_time() - began
        print(f"| all | {kind} | {batch} | {met} of {total} | {seconds:.0f} CPU s |", flush=True)


if __name__ == "__main__":
    main()
