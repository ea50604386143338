"""Whether a search is worth going on with. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from search.sampling.diagnosis import Diagnosis, diagnose
from search.sampling.doubt import DOUBTFUL
from search.sampling.proposal import Plan
from search.study.targets import Goal

State = Literal["searching", "converged", "no_progress", "unreachable"]

HOPELESS = 0.03
"""Chance of meeting all targets below which they count as unreachable."""
CONFIRMED_RATIO, CONFIRMED_TOLERANCES = 1.3, 0.5
"""The best evaluation must come this near to the least miss that the model believes in."""
PATIENCE = 4
"""Batches without improvement, after which no more is expected when the model agrees."""
NEGLIGIBLE = 0.01
"""Improvement of an objective, in standard deviations of what was seen, not worth a batch."""


@dataclass(frozen=True)
class Assessment:
    """Where a search stands.

    Attributes:
        state: ``searching`` means go on, every other state means stop.
        reason: In a sentence.
        probability: That some candidate meets all targets, 0 to 1; None while too little
            is known.
        plan: What is known; None while too little is.
        goals: The goals, resolved.
    """

    state: State
    reason: str
    probability: float | None = None
    plan: Plan | None = None
    goals: tuple[Goal, ...] = ()

    @property
    def should_stop(self) -> bool:
        """Whether to end the search."""
        return self.state != "searching"

    @cached_property
    def diagnosis(self) -> Diagnosis | None:
        """Why the targets are met or not; None while too little is known."""
        return None if self.plan is None else diagnose(self.plan, self.goals)


def assess(plan: Plan, goals: Sequence[Goal], batch_size: int) -> Assessment:
    """Return whether a search should go on.

    Args:
        plan: What was evaluated, and the model of it; nothing pending.
        goals: The goals behind it.
        batch_size: Evaluations of a batch.
    """
    chosen = tuple(goals)
    losses = plan.losses
    is_met = bool(losses.min() == 0)
    if is_met and not plan.aims.has_objective:
        return Assessment("converged", "a candidate meets every target", 1.0, plan, chosen)
    if len(losses) < plan.freedom + 2:
        return Assessment("searching", "too little is known yet", None, plan, chosen)
    probability = plan.probability
    if is_met:
        return _assess_objective(plan, chosen, batch_size)
    best, least = np.sqrt(losses.min() / plan.aims.weight.mean()), plan.least_miss
    is_confirmed = bool(best <= CONFIRMED_RATIO * least + CONFIRMED_TOLERANCES)
    if probability <= HOPELESS and is_confirmed and _was_doubtful(plan, batch_size):
        reason = f"the targets cannot all be met: the chance is {probability * 100:.0f} %"
        return Assessment("unreachable", reason, probability, plan, chosen)
    if _idle(plan) >= PATIENCE * batch_size and probability <= 0.25 and is_confirmed:
        reason = f"nothing better was found in {PATIENCE} batches, and no more is expected"
        return Assessment("no_progress", reason, probability, plan, chosen)
    return Assessment("searching", "a hit is still likely", probability, plan, chosen)


def _assess_objective(plan: Plan, goals: tuple[Goal, ...], batch_size: int) -> Assessment:
    if plan.expected_gain < NEGLIGIBLE and _idle(plan) >= batch_size:
        reason = "every target is met and the objective cannot be improved noticeably"
        return Assessment("converged", reason, 1.0, plan, goals)
    return Assessment("searching", "the objective can still be improved", 1.0, plan, goals)


def _was_doubtful(plan: Plan, batch_size: int) -> bool:
    """Return whether the batch before last left as little hope: the last one looked for why."""
    earlier = plan.before(len(plan.losses) - batch_size)
    return earlier is not None and earlier.probability <= DOUBTFUL


def _idle(plan: Plan) -> int:
    """Return how many evaluations came after the best one."""
    return len(plan.losses) - 1 - plan.best
