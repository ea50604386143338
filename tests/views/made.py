"""Findings of a made-up study: cost by two parameters, with years, futures and another plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.study import StudySpec, study_from_document
from search.study.targets import Goal
from search.views.findings import PLAN, TODAY, Findings, Loop, PlanView

COST = Goal("cost", "equal", 10.0e9, tolerance=0.01, unit="USD", weight=4.0)
GROWTH = Goal("growth", "at_most", high=0.032, tolerance=0.0, unit="fraction")


def spec() -> StudySpec:
    """Return the study that the findings are of."""
    return study_from_document(
        {
            "study": "pay",
            "scenario": {"dbt_project": ".", "steps": [{"dbt": {"command": "run"}}]},
            "parameters": {
                "merit": {
                    "low": 0.0, "high": 0.08, "current": 0.04, "unit": "fraction",
                    "bind": {"var": "merit"},
                },
                "cola": {
                    "low": 0.0, "high": 0.04, "current": 0.02, "unit": "fraction",
                    "bind": {"var": "cola"},
                },
                "timing": {
                    "choices": ["january", "july"], "current": "january",
                    "bind": {"var": "timing"},
                },
            },
            "metrics": {"cost": {"sql": "select 1", "unit": "USD"}, "growth": {"sql": "select 1"}},
            "targets": {"cost": {"value": 1}},
        },
        file=Path("/studies/pay.yml"),
    )  # fmt: skip


def effect(metric: str, parameter: str, start: Any, end: Any, change: float, **more: Any) -> Any:
    """Return an effect as the appraisal stores it: the model's, of known sign."""
    given = {
        "metric": metric, "parameter": parameter, "start": start, "end": end,
        "modelled": change, "uncertainty": abs(change) / 10, "evaluated": None,
        "interval": [change * 0.75, change * 1.25], "is_known": True,
    }  # fmt: skip
    return given | more


def appraisal() -> dict[str, Any]:
    """Return what was found out at the end."""
    futures = [
        {"seed": n, "metrics": {"cost": 9.9e9 + n * 1e7, "growth": 0.03}, "is_met": n < 19,
         "is_searched": n == 0}
        for n in range(21)
    ]  # fmt: skip
    spread = {"mean": 10.0e9, "deviation": 6e7, "p10": 9.92e9, "p50": 10.0e9, "p90": 10.08e9}
    return {
        "effects": [
            effect("cost", "merit", 0.03, 0.031, 8e6),
            effect("cost", "cola", 0.02, 0.021, 9e6),
            effect("cost", "timing", "january", "july", -3e6, is_known=False),
            effect("growth", "merit", 0.03, 0.031, 0.0001),
        ],
        "confirmation": {
            "seeds": list(range(1, 21)), "failed": 0, "met": 18, "asked": 20,
            "share_met": 0.9, "interval": [0.7, 0.98], "futures": futures,
            "spreads": [spread | {"metric": "cost", "met": 18, "share_met": 0.9}],
            "others": [],
        },
    }  # fmt: skip


def findings(**more: Any) -> Findings:
    """Return what the study found: merit moves from 4 to 3 %."""
    years = {f"payroll@{year}": Loop("payroll", "year", year) for year in (2026, 2027)}
    path = {"payroll@2026": 4.9e9, "payroll@2027": 5.1e9}
    given: dict[str, Any] = {
        "study": "pay",
        "parameters": spec().parameters,
        "goals": (COST, GROWTH),
        "units": {"cost": "USD", "growth": "fraction", **dict.fromkeys(years, "USD")},
        "loops": years,
        "today": PlanView(
            TODAY, 0, {"merit": 0.04, "cola": 0.02, "timing": "january"},
            {"cost": 10.1e9, "growth": 0.041, "payroll@2026": 5e9, "payroll@2027": 5.3e9},
        ),
        "plan": PlanView(
            PLAN, 7, {"merit": 0.03, "cola": 0.02, "timing": "january"},
            {"cost": 10.02e9, "growth": 0.031, **path},
        ),
        "alternatives": (
            PlanView("keeps merit at 4 %", 9, {"merit": 0.04, "cola": 0.01, "timing": "january"},
                 {"cost": 10.01e9, "growth": 0.03, **path}),
        ),
        "appraisal": appraisal(),
        "is_verified": True,
        "has_chance": True,
    }  # fmt: skip
    return Findings(**(given | more))
