"""Searches whose every proposal was recorded, so that tidying never changes one unseen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from search.errors import ScenarioError

Formula = Callable[..., Mapping[str, float]]


@dataclass(frozen=True)
class Recorded:
    """A search over a formula.

    Attributes:
        formula: Metrics of a candidate.
        parameters: As in a study file, without binds.
        targets: As in a study file.
        search: As in a study file.
        constraints: As in a study file.
    """

    formula: Formula
    parameters: Mapping[str, Any]
    targets: Mapping[str, Any]
    search: Mapping[str, Any] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()

    def document(self, tiny: Mapping[str, Any]) -> dict[str, Any]:
        """Return the study file, made of the tiny one."""
        names = dict.fromkeys(self.targets) or {}
        return {
            **tiny,
            "parameters": {
                name: {**one, "bind": {"var": name}} for name, one in self.parameters.items()
            },
            "metrics": {name: {"sql": "select 1"} for name in names},
            "targets": dict(self.targets),
            "constraints": list(self.constraints),
            "search": {
                **{
                    "batch_size": 4,
                    "seed": 7,
                    "sampler": "target",
                    "max_iterations": 5,
                    "polish": 0,
                    "prefer": "none",
                },
                **self.search,
            },
        }


def _range(low: float, high: float, current: float, **more: Any) -> dict[str, Any]:
    return {"low": low, "high": high, "current": current, **more}


def pay(merit: float, cola: float, hires: int, start: float) -> dict[str, float]:
    """Compute five years of a small company: products, powers and a count."""
    people, cost = 1000.0, 60e6
    for _ in range(5):
        leavers = round(people * (0.12 - 0.5 * merit))
        cost = cost * (1 + merit + cola) * (1 - leavers / people) + hires * 55e3 * start
        people += hires - leavers
    return {"cost": cost, "people": people, "growth": (people / 1000.0) ** 0.2 - 1}


def curved(a: float, b: float, c: float, d: float) -> dict[str, float]:
    """Compute two metrics with interactions and a wave."""
    return {
        "u": 3 * a + b * c + math.sin(2 * d) + 0.5 * a * a,
        "w": b - 2 * c + 0.3 * d * d + a * d,
    }


def chosen(x: float, mode: str, n: int) -> dict[str, float]:
    """Compute what depends on a choice and a whole number."""
    factor = {"flat": 1.0, "steep": 1.6, "late": 0.7}[mode]
    return {"v": factor * x**1.5 + 2 * n, "k": float(n * n) - x}


def failing(x: float, y: float) -> dict[str, float]:
    """Fail in a corner."""
    if x > 0.7 and y > 0.5:
        raise ScenarioError("too far", stage="step", step="steps[0]")
    return {"s": x + y * y, "t": x * 10 - y}


UNIT = _range(-2.0, 2.0, 0.0)
RECORDED = {
    "company": Recorded(
        pay,
        {
            "merit": _range(0.0, 0.08, 0.035, step=0.0005),
            "cola": _range(0.0, 0.05, 0.02, step=0.001),
            "hires": _range(50, 300, 120),
            "start": _range(0.8, 1.3, 1.0, step=0.01),
        },
        {
            "cost": {"value": 88e6, "tolerance": 0.0002},
            "people": {"value": 1130, "tolerance_abs": 0.5},
            "growth": {"between": [0.0, 0.03]},
        },
    ),
    "curved": Recorded(
        curved,
        {name: UNIT for name in "abcd"},
        {"u": {"value": 4.1, "tolerance": 1e-7}, "w": {"value": -2.2, "tolerance": 1e-7}},
    ),
    "one by one": Recorded(
        curved,
        {name: {**UNIT, "step": 0.05} for name in "abcd"},
        {"u": {"value": 4.1, "tolerance": 1e-6}, "w": {"value": -2.2, "tolerance": 1e-6}},
        search={"batch_size": 1, "max_iterations": 14},
    ),
    "choices": Recorded(
        chosen,
        {
            "x": _range(0.0, 30.0, 5.0, step=0.1),
            "mode": {"choices": ["flat", "steep", "late"], "current": "flat"},
            "n": _range(1, 40, 3),
        },
        {"v": {"value": 111.0, "tolerance": 1e-5}, "k": {"at_least": 150.0}},
    ),
    "out of reach": Recorded(
        curved,
        {name: UNIT for name in "abcd"},
        {"u": {"at_least": 11.0}, "w": {"value": 30.0, "tolerance": 0.001}},
        search={"max_iterations": 8, "early_stop": False},
    ),
    "constrained": Recorded(
        curved,
        {name: {**UNIT, "step": 0.01} for name in "abcd"},
        {"u": {"value": 7.5, "tolerance": 1e-5}, "w": {"value": 1.0, "tolerance": 1e-5}},
        constraints=("a + b <= 1.5", "c >= d - 2"),
    ),
    "failures": Recorded(
        failing,
        {"x": _range(0.0, 1.0, 0.1), "y": _range(0.0, 1.0, 0.1)},
        {"s": {"value": 0.9, "tolerance": 1e-8}, "t": {"value": 5.5, "tolerance": 1e-8}},
    ),
    "objective": Recorded(
        curved,
        {name: {**UNIT, "step": 0.05} for name in "abcd"},
        {"u": {"minimize": True}, "w": {"at_least": 0.5}},
        search={"max_iterations": 4},
    ),
}
