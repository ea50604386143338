"""What to set and what comes out: today, the plan and the alternatives side by side."""

from __future__ import annotations

from dataclasses import dataclass

from search.study.figures import short_change, short_range, short_with_unit, with_unit
from search.views.findings import PLAN, TODAY, Findings
from search.views.grid import Grid
from search.views.parameters import change_text
from search.views.targets import TargetView, short_wanted, verdict_of


@dataclass(frozen=True)
class OutcomeView:
    """A metric of the plan, as text.

    Attributes:
        metric: Its name.
        wanted: What its target asks for, with the tolerance; ``-`` without a target.
        today: At the current parameters.
        plan: Of the plan.
        change: From today to the plan.
        reach: Where 8 of 10 futures lie; ``-`` where none were evaluated.
        chance: In how many futures its target is met.
        verdict: ``met``, ``missed``, ``unknown``, ``minimized``, ``maximized``, or ``-``.
        is_met: The same for programs; None without a verdict.
    """

    metric: str
    wanted: str
    today: str
    plan: str
    change: str
    reach: str
    chance: str
    verdict: str
    is_met: bool | None

    @property
    def row(self) -> list[str]:
        """The cells under ``OUTCOMES``."""
        return [
            self.metric, self.wanted, self.today, self.plan, self.change, self.reach, self.chance,
            self.verdict,
        ]  # fmt: skip


OUTCOMES = ["metric", "wanted", TODAY, PLAN, "change", "8 of 10 futures", "futures met", "verdict"]


def outcomes(findings: Findings) -> list[OutcomeView]:
    """Return the plan's metrics, those with a target first, repetitions only with one."""
    goals = findings.goal_of
    names = [name for name in findings.metrics if name in goals or name not in findings.loops]
    return [_outcome(findings, name) for name in names]


def _outcome(findings: Findings, name: str) -> OutcomeView:
    today = findings.today.metrics.get(name) if findings.today else None
    plan = findings.plan.metrics.get(name) if findings.plan else None
    unit, goal = findings.units.get(name), findings.goal_of.get(name)
    view = None if goal is None else TargetView.of(goal, today, plan)
    wanted = "-"
    if goal is not None and view is not None:
        wanted = short_wanted(goal) + ("" if view.tolerance == "-" else f" {view.tolerance}")
    spread = findings.spread(name)
    reach = chance = "-"
    if spread is not None and spread.get("p90") is not None:
        reach = short_range(spread["p10"], spread["p90"], unit)
    if spread is not None and spread.get("met") is not None:
        seeds = findings.appraisal["confirmation"]
        chance = f"{spread['met']} of {len(seeds['seeds']) + seeds['failed']}"
    moved = None if today is None or plan is None else plan - today
    return OutcomeView(
        metric=name,
        wanted=wanted,
        today=short_with_unit(today, unit),
        plan=short_with_unit(plan, unit),
        change="same" if moved == 0 else short_change(moved, unit),
        reach=reach,
        chance=chance,
        verdict="-" if view is None else view.verdict,
        is_met=None if view is None else view.is_met,
    )


@dataclass(frozen=True)
class Settings:
    """A parameter in every plan, as text.

    Attributes:
        name: Its name.
        values: Its value in each plan, today's first.
        is_moved: For each, whether it differs from today's.
        change: From today to the plan.
    """

    name: str
    values: tuple[str, ...]
    is_moved: tuple[bool, ...]
    change: str


def settings(findings: Findings) -> list[Settings]:
    """Return each parameter in today's values, the plan and the alternatives."""
    rows = []
    for name, parameter in findings.parameters.items():
        sides = [findings.today.values.get(name) if findings.today else parameter.current]
        sides += [side.values.get(name) for side in findings.sides if side.name != TODAY]
        rows.append(
            Settings(
                name,
                tuple(with_unit(value, parameter.unit) for value in sides),
                tuple(value != sides[0] for value in sides),
                change_text(sides[0], sides[1], parameter.unit) if len(sides) > 1 else "-",
            )
        )
    return rows


def side_names(findings: Findings) -> list[str]:
    """Return what today, the plan and the alternatives are called in a table."""
    others = [f"alternative {number}" for number, _ in enumerate(findings.alternatives, start=1)]
    return [TODAY, *([PLAN] if findings.plan else []), *others]


def settings_grid(findings: Findings) -> Grid:
    """Return the parameters, a column for each plan, and how the plan differs from today."""
    names = side_names(findings)
    rows = tuple(
        (setting.name, *setting.values[:2], setting.change, *setting.values[2:])
        for setting in settings(findings)
    )
    return Grid(("parameter", *names[:2], "change", *names[2:]), rows)


def plans_grid(findings: Findings) -> Grid:
    """Return parameters and then metrics, a column for each plan."""
    rows = [(setting.name, *setting.values) for setting in settings(findings)]
    goals = findings.goal_of
    for name in findings.metrics:
        if name in findings.loops and name not in goals:
            continue
        unit, goal = findings.units.get(name), goals.get(name)
        today = findings.today.metrics.get(name) if findings.today else None
        cells = [short_with_unit(today, unit)]
        for side in findings.sides:
            if side.name == TODAY:
                continue
            value = side.metrics.get(name)
            is_missed = goal is not None and verdict_of(goal, value) is False
            cells.append(short_with_unit(value, unit) + (" (missed)" if is_missed else ""))
        rows.append((name, *cells))
    return Grid(("", *side_names(findings)), tuple(rows))


def alternative_lines(findings: Findings) -> list[str]:
    """Return the other plans, numbered, each with how it differs from the plan."""
    return [
        f"alternative {number}: {alternative.name} (trial {alternative.trial})"
        for number, alternative in enumerate(findings.alternatives, start=1)
    ]
