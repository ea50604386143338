"""Systems of the literature with a solution: what a search of targets is tried on beside our own.

Nonlinear systems of the collection of More, Garbow and Hillstrom (solved where all residuals are
0), one with a jump and two with local minima among them; epidemics and diffusion; an (s, S)
inventory whose demand is drawn, the same draws for every candidate; queues, a reactor, an arm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from convergence_analytic import Problem
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from search.study.targets import Goal


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


def _beale(x: float, y: float) -> tuple[float, ...]:
    wanted = ((1.5, 1), (2.25, 2), (2.625, 3))
    return tuple(value - x * (1 - y**power) for value, power in wanted)


def _wood(a: float, b: float, c: float, d: float) -> tuple[float, ...]:
    root = math.sqrt(10.0)
    return (
        10 * (b - a * a), 1 - a, math.sqrt(90) * (d - c * c), 1 - c,
        root * (b + d - 2), (b - d) / root,
    )  # fmt: skip


def _brown(*x: float) -> tuple[float, ...]:
    total = sum(x) - (len(x) + 1)
    return *(one + total for one in x[:-1]), math.prod(x) - 1


def _boundary(*x: float) -> tuple[float, ...]:
    h = 1 / (len(x) + 1)
    padded = [0.0, *x, 0.0]
    return tuple(
        2 * padded[i] - padded[i - 1] - padded[i + 1] + h * h * (padded[i] + i * h + 1) ** 3 / 2
        for i in range(1, len(x) + 1)
    )


def _chebyquad(*x: float) -> tuple[float, ...]:
    found = []
    for degree in range(1, len(x) + 1):
        mean = sum(math.cos(degree * math.acos(2 * one - 1)) for one in x) / len(x)
        found.append(mean + (1 / (degree**2 - 1) if degree % 2 == 0 else 0.0))
    return tuple(found)


def _diffusion(values: Mapping[str, Any]) -> dict[str, float]:
    """Return year and height of the peak of sales, and who had bought after five years."""
    first, imitation, market = (float(values[n]) for n in ("first", "imitation", "market"))
    total = first + imitation
    peak = math.log(imitation / first) / total
    faded = math.exp(-total * 5.0)
    share = (1 - faded) / (1 + imitation / first * faded)
    height = market * total**2 / (4 * imitation)
    return {"peak_year": peak, "peak_sales": height, "bought": market * share}


def _reactor(values: Mapping[str, Any]) -> dict[str, float]:
    """Return conversion, temperature and output of a stirred tank, at its coldest rest."""
    flow, coolant = float(values["flow"]), float(values["coolant"])

    def rate(heat: float) -> float:
        return 7.2e10 * math.exp(-8750.0 / heat)

    def warming(heat: float) -> float:
        burnt = flow * rate(heat) / (flow + rate(heat))
        return flow * (350.0 - heat) + 209.2 * burnt + 2.092 * (coolant - heat)

    # Below the first degree at which it no longer warms; there may be two hotter ones.
    high = next(heat for heat in range(281, 1000) if warming(heat) <= 0)
    low, top = high - 1.0, float(high)
    for _ in range(40):
        middle = (low + top) / 2
        low, top = (middle, top) if warming(middle) > 0 else (low, middle)
    share = rate(low) / (flow + rate(low))
    return {"conversion": share, "temperature": low, "output": flow * share}


def _arm(values: Mapping[str, Any]) -> dict[str, float]:
    """Return where the hand of an arm of three joints is, and where it points, in turns."""
    x = y = angle = 0.0
    for joint, length in (("shoulder", 1.0), ("elbow", 0.8), ("wrist", 0.4)):
        angle += 2 * math.pi * float(values[joint])
        x, y = x + length * math.cos(angle), y + length * math.sin(angle)
    return {"x": x + 3.0, "y": y + 3.0, "points": (angle / (2 * math.pi)) % 1.0}


def _hunters(values: Mapping[str, Any]) -> dict[str, float]:
    """Return most prey, most hunters and the time between two peaks of Lotka and Volterra."""
    birth, eaten, death = (float(values[name]) for name in ("birth", "eaten", "death"))
    prey, hunters, peaks, most, top = 10.0, 5.0, [], 0.0, 0.0
    rising = False
    for step in range(6000):
        before = prey
        prey *= math.exp(0.02 * (birth - eaten * hunters))
        hunters *= math.exp(0.02 * (0.5 * eaten * prey - death))
        if rising and prey < before:
            peaks.append(0.02 * step)
        rising = prey > before
        most, top = max(most, prey), max(top, hunters)
    between = peaks[1] - peaks[0] if len(peaks) > 1 else 120.0
    return {"most_prey": most, "most_hunters": top, "period": between}


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
        _mgh("Beale", _beale, (1.0, 1.0), (-4.5, 4.5), 0.05, 5),
        _mgh("Wood", _wood, (-3.0, -1.0, -3.0, -1.0), (-4, 4), 0.1, 14),
        _mgh("Brown almost linear", _brown, (0.5,) * 5, (-2, 2), 0.05, 27),
        _mgh(
            "Boundary value", _boundary,
            tuple(i / 7 * (i / 7 - 1) for i in range(1, 7)), (-1, 1), 0.005, 28,
        ),
        _mgh("Chebyquad", _chebyquad, (0.2, 0.4, 0.6, 0.8), (0, 1), 0.01, 35),
        _of_solution(
            "Diffusion of a product",
            {
                "first": FloatDistribution(0.001, 0.1, log=True),
                "imitation": FloatDistribution(0.1, 1.0),
                "market": FloatDistribution(50.0, 500.0),
            },
            {"first": 0.01, "imitation": 0.8, "market": 100.0}, _diffusion,
            {"first": 0.03, "imitation": 0.38, "market": 310.0}, 0.01,
            "Bass (1969)",
        ),
        _of_solution(
            "Stirred tank",
            {"flow": FloatDistribution(0.5, 3.0), "coolant": FloatDistribution(280.0, 340.0)},
            {"flow": 2.5, "coolant": 285.0}, _reactor,
            {"flow": 1.1, "coolant": 312.0}, 0.01,
            "Uppal, Ray and Poore (1974)",
        ),
        _of_solution(
            "Arm of three joints",
            {name: FloatDistribution(-0.5, 0.5) for name in ("shoulder", "elbow", "wrist")},
            {"shoulder": 0.1, "elbow": 0.1, "wrist": 0.1}, _arm,
            {"shoulder": -0.2, "elbow": 0.3, "wrist": -0.35}, 0.01,
            "Denavit and Hartenberg (1955)",
        ),
        _of_solution(
            "Hunters and prey",
            {
                "birth": FloatDistribution(0.2, 2.0),
                "eaten": FloatDistribution(0.02, 0.3),
                "death": FloatDistribution(0.2, 2.0),
            },
            {"birth": 1.0, "eaten": 0.1, "death": 1.0}, _hunters,
            {"birth": 0.7, "eaten": 0.06, "death": 0.5}, 0.02,
            "Lotka (1925), Volterra (1926)",
        ),
    ]  # fmt: skip
