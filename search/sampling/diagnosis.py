"""Why targets cannot be met, and what would help: read off the model of the metrics. Pure.

All figures are the model's estimates after the evaluations made so far. A set of targets conflicts
when the model finds no candidate that meets all of them although it meets every smaller set.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from search.sampling.aims import Aims
from search.sampling.axes import Axis
from search.sampling.pool import decode
from search.sampling.proposal import Plan
from search.sampling.step import Ambition, solve
from search.study.figures import with_unit
from search.study.targets import Goal, verdict

Array = NDArray[np.float64]

STARTS = 12
REACHED = 0.15
"""Excess, in tolerances, up to which the model's estimate counts as met."""
FARTHEST_RELAXATION = 1.0
"""How far a bound is moved at most, as a share of its range."""
WORTHWHILE = 0.05
"""Share of the remaining miss that moving a bound must take away to be worth telling."""


@dataclass(frozen=True)
class AttainableRange:
    """What values a metric can take.

    Attributes:
        metric: Its name.
        alone: Least and greatest value when the other targets do not matter.
        with_others: The same when the other targets are met; None when they cannot be met.
        uncertainty: Standard deviation of the ends of ``alone``, in the metric's unit.
        is_target_inside: Whether the target lies in the range ``alone``.
    """

    metric: str
    alone: tuple[float, float]
    with_others: tuple[float, float] | None
    uncertainty: float
    is_target_inside: bool


@dataclass(frozen=True)
class BindingBound:
    """A bound that stops the search from getting closer, and what moving it would give.

    Attributes:
        parameter: Its name.
        side: Which bound.
        bound: Today's bound.
        relaxed: The nearest bound with which all targets are met, or, when none is enough,
            the farthest that was tried.
        is_enough: Whether all targets are met with ``relaxed``.
        gain: Share of the miss that ``relaxed`` takes away, 0 to 1.
        metric: The target that is meant, when it cannot be met even alone; None for all.
        refused: Why the scenario itself refuses ``relaxed``; None where it does not, or was not
            asked.
    """

    parameter: str
    side: Literal["low", "high"]
    bound: float
    relaxed: float
    is_enough: bool
    gain: float
    metric: str | None = None
    refused: str | None = None


@dataclass(frozen=True)
class Compromise:
    """A candidate that misses the targets least, weighed by priority.

    Attributes:
        values: The candidate.
        metrics: Its metrics.
        is_evaluated: Whether the metrics were measured; else they are the model's.
    """

    values: Mapping[str, Any]
    metrics: Mapping[str, float]
    is_evaluated: bool


@dataclass(frozen=True)
class Diagnosis:
    """Why the targets are met or not.

    Attributes:
        goals: The targets.
        probability: That some candidate meets all targets, 0 to 1.
        ranges: What each metric can be.
        out_of_range: Metrics whose target cannot be met even alone.
        conflicts: Sets of targets that cannot be met together, smallest first.
        bounds: Bounds that bind at the compromise, the most useful to move first.
        is_held_by_constraints: Whether constraints on parameters stand in the way.
        compromise: What the model expects to be best.
        best: The best evaluated candidate.
    """

    goals: tuple[Goal, ...]
    probability: float
    ranges: tuple[AttainableRange, ...]
    out_of_range: tuple[str, ...]
    conflicts: tuple[tuple[str, ...], ...]
    bounds: tuple[BindingBound, ...]
    is_held_by_constraints: bool
    compromise: Compromise
    best: Compromise

    def text(self, units: Mapping[str, str | None] | None = None) -> str:
        """Return the diagnosis for a person, a few lines of plain text.

        Args:
            units: Unit of each parameter; fractions are shown as percentages.
        """
        unit = {goal.metric: goal.unit for goal in self.goals}
        lines = [f"Chance that some candidate meets all targets: {self.probability * 100:.0f} %."]
        for metric in self.out_of_range:
            one = next(reach for reach in self.ranges if reach.metric == metric)
            lines.append(
                f"{metric} can be {with_unit(one.alone[0], unit[metric])} to "
                f"{with_unit(one.alone[1], unit[metric])} within the ranges of the parameters "
                f"(give or take {with_unit(one.uncertainty, unit[metric])}); "
                f"its target lies outside."
            )
        for conflict in self.conflicts:
            lines.append(f"{_and(conflict)} cannot be met together.")
            for metric in conflict:
                one = next(reach for reach in self.ranges if reach.metric == metric)
                if one.with_others is not None:
                    low, high = (with_unit(end, unit[metric]) for end in one.with_others)
                    lines.append(f"  {metric} can be {low} to {high} when the others are met.")
        for bound in self.bounds:
            lines.append(_bound_line(bound, (units or {}).get(bound.parameter)))
        if self.is_held_by_constraints:
            lines.append("The constraints stand in the way: without them the targets come nearer.")
        lines.append("Best compromise by priority:")
        lines += [
            f"  {goal.metric}: {verdict(goal, self.best.metrics[goal.metric])}"
            for goal in self.goals
        ]
        return "\n".join(lines)


def diagnose(plan: Plan, goals: Sequence[Goal]) -> Diagnosis:
    """Return why the targets are met or not.

    Args:
        plan: What was evaluated, and the model of it.
        goals: The targets behind ``plan.aims``, in the same order.
    """
    return _Reader(plan, tuple(goals)).read()


class _Reader:
    def __init__(self, plan: Plan, goals: tuple[Goal, ...]) -> None:
        self._plan = plan
        self._goals = goals
        self._box = plan.box
        self._random = np.random.default_rng(0)
        self._free = np.zeros(self._box.width, dtype=bool)
        self._free[: len(self._box.numeric)] = [
            self._box.axes[i].low < self._box.axes[i].high for i in self._box.numeric
        ]
        order = np.argsort(plan.losses, kind="stable")[: STARTS // 2]
        known = np.concatenate(
            [plan.observed.points[order], self._box.uniform(self._random, STARTS - len(order))]
        )
        self._starts = self._box.encode(known)
        self._targets = [i for i, goal in enumerate(goals) if not goal.is_objective]

    def read(self) -> Diagnosis:
        plan = self._plan
        point, miss = self._nearest(plan.aims)
        ranges = tuple(self._range(i) for i in range(len(self._goals)))
        alone = [i for i in self._targets if not self._can([i])]
        bounds = self._bounds(point, miss, plan.aims) if miss > REACHED else ()
        for i in alone if not bounds else ():
            # No bound helps all targets together: tell what stops each one.
            aims = plan.aims.only([i])
            bounds += self._bounds(*self._nearest(aims), aims, self._goals[i].metric)
        snapped = self._box.snap(decode(self._box, point[None]))[0]
        best = plan.best
        return Diagnosis(
            goals=self._goals,
            probability=plan.probability,
            ranges=ranges,
            out_of_range=tuple(self._goals[i].metric for i in alone),
            conflicts=tuple(
                tuple(self._goals[i].metric for i in conflict)
                for conflict in self._conflicts(alone)
            ),
            bounds=bounds,
            is_held_by_constraints=self._is_held(miss),
            compromise=self._compromise(snapped, None),
            best=self._compromise(plan.observed.points[best], plan.observed.metrics[best]),
        )

    def _compromise(self, point: Array, metrics: Array | None) -> Compromise:
        measured = metrics
        if measured is None:
            measured = self._plan.mean.values(self._box.encode(point[None]))[0, 0]
        names = [goal.metric for goal in self._goals]
        return Compromise(
            values=self._box.values(point),
            metrics=dict(zip(names, map(float, measured), strict=True)),
            is_evaluated=metrics is not None,
        )

    # --- what the model can reach -----------------------------------------------

    def _nearest(
        self,
        aims: Aims,
        *,
        limits: tuple[Array, Array] | None = None,
        has_walls: bool = True,
        starts: Array | None = None,
    ) -> tuple[Array, float]:
        """Return the point that misses least, and the root of its mean squared excess."""
        starts = self._starts if starts is None else starts
        functions = self._plan.mean.take(np.zeros(len(starts), dtype=int))
        walls = self._plan.walls if has_walls else None
        nearest = solve(
            functions, aims, starts, free=self._free, walls=walls, limits=limits, iterations=25
        )
        losses = aims.loss(functions.paired(nearest))
        at = int(np.argmin(losses))
        worst = np.sqrt(losses[at] / max(float(aims.weight.mean()), 1e-12))
        return nearest[at], float(worst)

    def _can(self, targets: Sequence[int]) -> bool:
        aims = self._plan.aims.only(targets)
        if aims.loss(self._plan.observed.metrics).min() == 0:
            return True
        return self._nearest(aims)[1] <= REACHED

    def _conflicts(self, alone: Sequence[int]) -> list[tuple[int, ...]]:
        rest = [i for i in self._targets if i not in alone]
        pairs = [pair for pair in itertools.combinations(rest, 2) if not self._can(pair)]
        if pairs or self._can(rest):
            return list(pairs)
        kept = list(rest)
        for i in rest:
            fewer = [j for j in kept if j != i]
            if not self._can(fewer):
                kept = fewer
        return [tuple(kept)]

    def _range(self, metric: int) -> AttainableRange:
        plan = self._plan
        aims = plan.aims
        seen = plan.observed.metrics[:, metric]
        ends, uncertainty = [], 0.0
        for direction in (1.0, -1.0):
            extreme, values = self._extreme(aims.only([]), metric, direction)
            value = values[np.argmin(direction * values)]
            ends.append(float(np.min(np.append(direction * seen, direction * value)) * direction))
            at = extreme[np.argmin(direction * values)]
            spread = plan.draws.values(at[None])[:, 0, metric].std()
            uncertainty = max(uncertainty, float(spread))
        others = [i for i in self._targets if i != metric]
        honoured: list[float] = []
        for direction in (1.0, -1.0):
            extreme, values = self._extreme(aims.only(others), metric, direction)
            every = plan.mean.values(extreme)[0]
            excess = np.abs(aims.only(others).excess(every)).max(axis=1, initial=0.0)
            kept = values[excess <= REACHED]
            honoured += [float((direction * kept).min() * direction)] if len(kept) else []
        low, high = float(aims.low[metric]), float(aims.high[metric])
        return AttainableRange(
            metric=self._goals[metric].metric,
            alone=(ends[0], ends[1]),
            with_others=(min(honoured), max(honoured)) if honoured else None,
            uncertainty=uncertainty,
            is_target_inside=low <= ends[1] and high >= ends[0],
        )

    def _extreme(self, aims: Aims, metric: int, direction: float) -> tuple[Array, Array]:
        """Return points where a metric is least (1) or greatest (-1) under the mean."""
        starts = self._starts
        functions = self._plan.mean.take(np.zeros(len(starts), dtype=int))
        metrics = self._plan.observed.metrics
        spread = np.maximum(metrics.std(axis=0), 1e-12)
        edge = metrics.min(axis=0) if direction > 0 else metrics.max(axis=0)
        scale = np.full(len(spread), np.inf)
        scale[metric] = 10.0 * spread[metric]
        level = np.tile(edge - direction * 10.0 * spread, (len(starts), 1))
        signs = np.where(np.isfinite(scale), direction, 0.0)
        extreme = solve(
            functions,
            aims,
            starts,
            free=self._free,
            walls=self._plan.walls,
            ambition=Ambition(level, scale, signs),
            iterations=25,
        )
        return extreme, functions.paired(extreme)[:, metric]

    # --- what stands in the way -------------------------------------------------

    def _is_held(self, miss: float) -> bool:
        if self._plan.walls is None or miss <= REACHED:
            return False
        return self._nearest(self._plan.aims, has_walls=False)[1] < (1 - WORTHWHILE) * miss

    def _bounds(
        self, point: Array, miss: float, aims: Aims, metric: str | None = None
    ) -> tuple[BindingBound, ...]:
        binding = []
        for j, i in enumerate(self._box.numeric):
            if not self._free[j] or abs(point[j]) < 1.0 - 1e-6:
                continue
            side: Literal["low", "high"] = "high" if point[j] > 0 else "low"
            one = self._relaxed(point, j, self._box.axes[i], side, miss, aims, metric)
            if one.gain >= WORTHWHILE:
                binding.append(one)
        return tuple(sorted(binding, key=lambda bound: (not bound.is_enough, -bound.gain)))

    def _relaxed(
        self,
        point: Array,
        column: int,
        axis: Axis,
        side: Literal["low", "high"],
        miss: float,
        aims: Aims,
        metric: str | None,
    ) -> BindingBound:
        def missed(share: float) -> float:
            low, high = -np.ones(self._box.width), np.ones(self._box.width)
            low[len(self._box.numeric) :], high[len(self._box.numeric) :] = -np.inf, np.inf
            if side == "high":
                high[column] += 2.0 * share
            else:
                low[column] -= 2.0 * share
            starts = np.concatenate([point[None], self._starts])
            return self._nearest(aims, limits=(low, high), starts=starts)[1]

        share, left = FARTHEST_RELAXATION, missed(FARTHEST_RELAXATION)
        is_enough = left <= REACHED
        if is_enough:
            least = 0.0
            for _ in range(6):
                middle = (least + share) / 2.0
                if missed(middle) <= REACHED:
                    share = middle
                else:
                    least = middle
        number = axis.number(1.0 + share if side == "high" else -share)
        if axis.step is not None:
            steps = (number - axis.low) / axis.step
            whole = np.ceil(steps - 1e-9) if side == "high" else np.floor(steps + 1e-9)
            number = axis.low + float(whole) * axis.step
        return BindingBound(
            parameter=axis.name,
            side=side,
            bound=axis.high if side == "high" else axis.low,
            relaxed=float(f"{number:.4g}") if axis.step is None else number,
            is_enough=is_enough,
            gain=float(np.clip(1.0 - left / miss, 0.0, 1.0)),
            metric=metric,
        )


def _bound_line(bound: BindingBound, unit: str | None) -> str:
    word = "upper" if bound.side == "high" else "lower"
    limit, moved = with_unit(bound.bound, unit), with_unit(bound.relaxed, unit)
    start = f"The {word} bound of {bound.parameter} ({limit}) binds"
    if bound.metric is not None:
        start += f" for {bound.metric}"
    if bound.refused is not None:
        return f"{start}, and it is the model's own: {moved} is refused ({bound.refused})."
    if bound.is_enough:
        what = "all targets" if bound.metric is None else "that target"
        return f"{start}: moved to about {moved}, {what} could be met."
    share = f"{bound.gain:.0%}".replace("%", " %")
    return f"{start}: moved to {moved} it would take away {share} of the miss, but not all."


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
