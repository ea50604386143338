"""What a study found, in the form that every view starts from: terminal, page, files, Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search.study.targets import Goal
from search.study.values import Scalar
from search.views.parameters import HasRange

TODAY, PLAN = "today", "plan"


@dataclass(frozen=True)
class PlanView:
    """A candidate that is shown.

    Attributes:
        name: ``today``, ``plan``, or how another plan differs from that.
        trial: The trial that it is; None when it was not evaluated.
        values: Its parameters.
        metrics: What it yields; empty when unknown.
    """

    name: str
    trial: int | None
    values: Mapping[str, Scalar]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Loop:
    """Which repetition a metric is of.

    Attributes:
        key: The metric's name in the study file.
        name: What is repeated over: ``simulation_year``.
        value: Which one.
    """

    key: str
    name: str
    value: Scalar


@dataclass(frozen=True)
class Findings:
    """What a study found.

    Attributes:
        study: Its name, version included.
        parameters: In the study's order.
        goals: Resolved, in the study's order.
        units: Unit of each metric.
        loops: Of each metric that is one repetition of another.
        today: The current parameters; None when they have no metrics.
        plan: The best trial; None when none is complete.
        alternatives: Other plans that meet every target, the one that differs most first.
        appraisal: As ``Appraisal.document`` has it; empty when unknown.
        is_verified: Whether real dbt confirms the plan; None when it was not asked.
        has_chance: Whether the scenario draws at random.
    """

    study: str
    parameters: Mapping[str, HasRange]
    goals: tuple[Goal, ...]
    units: Mapping[str, str | None]
    today: PlanView | None
    plan: PlanView | None
    alternatives: tuple[PlanView, ...] = ()
    loops: Mapping[str, Loop] = field(default_factory=dict)
    appraisal: Mapping[str, Any] = field(default_factory=dict)
    is_verified: bool | None = None
    has_chance: bool = False

    @property
    def goal_of(self) -> dict[str, Goal]:
        """The goal of each metric that has one."""
        return {goal.metric: goal for goal in self.goals}

    @property
    def metrics(self) -> list[str]:
        """Every metric that is known, those with a target first."""
        known = self.plan or self.today
        names = [goal.metric for goal in self.goals]
        return list(dict.fromkeys([*names, *(known.metrics if known else ()), *self.units]))

    @property
    def sides(self) -> list[PlanView]:
        """Today, the plan and the others, as far as they are known."""
        return [
            alternative
            for alternative in (self.today, self.plan, *self.alternatives)
            if alternative is not None
        ]

    def spread(self, metric: str) -> Mapping[str, Any] | None:
        """Return a metric's spread over futures; None when not asked for."""
        confirmation = self.appraisal.get("confirmation")
        if not confirmation:
            return None
        every = [*confirmation["spreads"], *(confirmation.get("others") or ())]
        return next((spread for spread in every if spread["metric"] == metric), None)

    def futures(self) -> list[Mapping[str, Any]]:
        """Return each evaluation of the plan under a seed, those of the search first."""
        confirmation = self.appraisal.get("confirmation")
        return list(confirmation.get("futures") or ()) if confirmation else []


def spoken(name: str) -> str:
    """Return a name as people say it.

    Example:
        >>> spoken("total_compensation_cost"), spoken("cost@2026")
        ('total compensation cost', 'cost 2026')
    """
    return name.replace("_", " ").replace("@", " ")
