"""The scenario under other random seeds: what chance does, and in how many futures a plan holds.

Evaluations are taken from the cache where they are known, so that an interrupted study goes on
where it was; they are asked for in rounds, so that they end when their time is up.
"""

from __future__ import annotations

import hashlib
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from search.driver.progress import Progress
from search.driver.results import CompleteTrial
from search.scenario.outcome import EvaluationRequest, Outcome
from search.storage.study_store import StudyStore
from search.study import StudySpec
from search.study.chance import Noise, chance_of, jeffreys, most_that_meet
from search.study.figures import with_unit
from search.study.preference import unit_of
from search.study.replication import quantile
from search.study.targets import Goal, all_met, is_met
from search.study.values import Scalar
from search.workers import WorkerPool

WAIT_SECONDS = 0.5
"""Longest wait before a pending interrupt is noticed."""
FUTURES_SECONDS = 60.0
"""Time in which futures of a plan are evaluated; what does not fit is told."""
UNUSUAL = 2.0
"""Standard deviations from which the seed of the search is told to be unusual."""
LEAST = 2
"""Seeds that are evaluated whatever the time: one says nothing of what a seed does."""
SEEDS = (100_000, 10_000_000)
"""Fresh seeds lie between these: far from the small numbers that people write, and safe to
multiply by a few hundred in whole numbers of 32 bits."""


@dataclass(frozen=True)
class Future:
    """A plan under one seed.

    Attributes:
        seed: Value of the replication variable.
        metrics: What came out.
        is_met: Whether all targets are met.
        is_searched: Whether the search saw the plan under this seed.
    """

    seed: Scalar
    metrics: Mapping[str, float]
    is_met: bool
    is_searched: bool = False


@dataclass(frozen=True)
class Spread:
    """A metric of the winner under fresh random seeds.

    Attributes:
        metric: Its name.
        mean: Over the seeds.
        deviation: Sample standard deviation, in the metric's unit.
        p10: A tenth of the seeds lie below.
        p50: Half of the seeds lie below.
        p90: A tenth of the seeds lie above.
        met: Seeds under which its target is met; None for a metric without a target.
        share_met: The same as a share of all seeds.
        interval: Of the chance to meet it: 95 %, Jeffreys.
        modelled: The chance by a normal model of the metric.
    """

    metric: str
    mean: float
    deviation: float
    p10: float
    p50: float
    p90: float
    met: int | None = None
    share_met: float | None = None
    interval: tuple[float, float] | None = None
    modelled: float | None = None


@dataclass(frozen=True)
class Confirmation:
    """The winner under random seeds that the search did not use.

    Attributes:
        seeds: Values of the replication variable that were evaluated.
        failed: How many more failed.
        met: Seeds under which all targets are met.
        share_met: The same as a share of all seeds.
        interval: Of the chance to meet all targets: 95 %, Jeffreys.
        spreads: Of each target's metric.
        others: Of every other metric.
        futures: Each evaluation, those of the search first.
        asked: Seeds that were asked for; more than were evaluated when the time was up.
    """

    seeds: tuple[Scalar, ...]
    failed: int
    met: int
    share_met: float
    interval: tuple[float, float]
    spreads: tuple[Spread, ...]
    others: tuple[Spread, ...] = ()
    futures: tuple[Future, ...] = ()
    asked: int = 0


class Futures:
    """Evaluates candidates under seeds that the search does not use.

    Args:
        spec: The study.
        store: The study in its storage.
        pool: Evaluates; open.
        progress: Takes news for a person.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        spec: StudySpec,
        store: StudyStore,
        pool: WorkerPool,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._store = store
        self._pool = pool
        self._progress = progress
        self._clock = clock

    def confirm(self, best: CompleteTrial, goals: Sequence[Goal]) -> Confirmation | None:
        """Return how a plan does under fresh seeds; None when that is not asked for."""
        count = self._spec.seeds_to_confirm
        if count == 0:
            return None
        self._progress.note(f"evaluating trial {best.number} under {count} fresh seeds")
        is_asked = self._spec.search.confirm_seeds is not None
        seconds = None if is_asked else FUTURES_SECONDS
        outcomes = self.evaluate(best.values, self.fresh(count), seconds=seconds)
        if len(outcomes) < count:
            self._progress.note(
                f"{len(outcomes)} of {count} seeds are evaluated within {FUTURES_SECONDS:g} s; "
                f"search.confirm_seeds: {count} in the study file evaluates all of them"
            )
        complete = [outcome for outcome in outcomes if outcome.is_complete]
        return confirmation_of(
            goals,
            [(outcome.request.replication or 0, outcome.metrics) for outcome in complete],
            failed=len(outcomes) - len(complete),
            searched=[(seed, metrics) for seed, metrics in best.evaluations if seed is not None],
            asked=count,
        )

    def fresh(self, count: int, purpose: str = "future") -> list[Scalar]:
        """Return seeds that the search does not use, the same ones for the same study.

        Args:
            count: How many.
            purpose: Seeds of one purpose are others than those of another: a plan that was
                chosen by some is not confirmed by them.
        """
        return fresh_seeds(self._spec.scenario.seeds, count, self._spec.search.seed, purpose)

    def evaluate(
        self, values: Mapping[str, Scalar], seeds: Sequence[Scalar], *, seconds: float | None
    ) -> list[Outcome]:
        """Return the outcomes under the first seeds, as many as fit into some time; two at least.

        Args:
            values: The candidate.
            seeds: Each is a full evaluation.
            seconds: The time; None for as long as it takes.
        """
        began = self._clock()
        outcomes: list[Outcome] = []
        size = max(1, self._pool.size)
        while len(outcomes) < len(seeds):
            passed = self._clock() - began
            rounds = len(outcomes) / size
            is_over = seconds is not None and passed + passed / max(rounds, 1.0) > seconds
            if is_over and len(outcomes) >= LEAST:
                break
            outcomes += self._round(values, seeds[len(outcomes) : len(outcomes) + size])
        return outcomes

    def _round(self, values: Mapping[str, Scalar], seeds: Sequence[Scalar]) -> list[Outcome]:
        """Evaluate at once; the requests carry 0 as their trial: they belong to none."""
        for seed in seeds:
            self._pool.submit(EvaluationRequest(0, dict(values), seed))
        outcomes: dict[Scalar | None, Outcome] = {}
        while len(outcomes) < len(seeds):
            outcome = self._pool.next_outcome(WAIT_SECONDS)
            if outcome is not None:
                outcomes[outcome.request.replication] = outcome
        return [outcomes[seed] for seed in seeds]


def fresh_seeds(
    used: Sequence[Scalar | None], count: int, seed: int = 0, purpose: str = "future"
) -> list[Scalar]:
    """Return whole numbers far from those that were used, the same ones for the same arguments.

    Example:
        >>> fresh_seeds([1, 2, 7], 3) == fresh_seeds([1, 2, 7], 5)[:3]
        True
    """
    low, high = SEEDS
    fresh: list[Scalar] = []
    position = 0
    while len(fresh) < count:
        digest = hashlib.sha256(f"{purpose} {seed}/{position}".encode()).digest()
        drawn = low + int.from_bytes(digest[:8], "big") % (high - low)
        position += 1
        if drawn not in fresh and drawn not in used:
            fresh.append(drawn)
    return fresh


def noise_warnings(goals: Sequence[Goal], noise: Mapping[str, Noise]) -> list[str]:
    """Return what to tell before a search: targets that no plan can hold in most futures.

    Beside them, seeds of the search that are far from the others.
    """
    lines = []
    for goal in goals:
        known = noise.get(goal.metric)
        if known is None or goal.is_objective:
            continue
        if abs(known.offset) > max(UNUSUAL * known.deviation, unit_of(goal) / 2):
            lines.append(
                f"under the seed of the search {goal.metric} is "
                f"{with_unit(abs(known.offset), goal.unit)} "
                f"{'less' if known.offset > 0 else 'more'} than under others on average: a plan "
                "that is tuned on it misses in many futures; take another seed, or several"
            )
        most = most_that_meet(goal, known.deviation)
        wanted = goal.probability or 0.8
        if most < wanted:
            lines.append(
                f"the seed alone moves {goal.metric} by {with_unit(known.deviation, goal.unit)} "
                f"(one standard deviation, {known.seeds} seeds): no plan can meet its target in "
                f"more than {most * 100:.0f} % of futures; widen its tolerance"
            )
    return lines


def confirmation_of(
    goals: Sequence[Goal],
    evaluations: Sequence[tuple[Scalar, Mapping[str, float]]],
    *,
    failed: int,
    searched: Sequence[tuple[Scalar, Mapping[str, float]]] = (),
    asked: int = 0,
) -> Confirmation:
    """Return how often, and how nearly, targets are met over seeds.

    Args:
        goals: Resolved.
        evaluations: Each seed with its metrics.
        failed: Seeds whose evaluation failed; they count as not met.
        searched: The same for the seeds that the search used.
        asked: Seeds that were asked for.
    """
    total = len(evaluations) + failed
    plain = [_without_margin(goal) for goal in goals]
    wanted = {goal.metric: goal for goal in plain}
    names = list(dict.fromkeys([*wanted, *(evaluations[0][1] if evaluations else ())]))
    spreads = [
        _spread(name, [metrics[name] for _, metrics in evaluations], wanted.get(name), total)
        for name in names
        if evaluations
    ]
    met = sum(all_met(plain, metrics) for _, metrics in evaluations)
    return Confirmation(
        seeds=tuple(seed for seed, _ in evaluations),
        failed=failed,
        met=met,
        share_met=met / total if total else 0.0,
        interval=jeffreys(met, total),
        spreads=tuple(spread for spread in spreads if spread.metric in wanted),
        others=tuple(spread for spread in spreads if spread.metric not in wanted),
        futures=tuple(
            Future(seed, dict(metrics), all_met(plain, metrics), is_searched)
            for is_searched, pairs in ((True, searched), (False, evaluations))
            for seed, metrics in pairs
        ),
        asked=max(asked, total),
    )


def _without_margin(goal: Goal) -> Goal:
    """Return a goal as one future is judged by it."""
    return replace(goal, margin=0.0, shift=0.0)


def _spread(metric: str, values: Sequence[float], goal: Goal | None, total: int) -> Spread:
    met = None if goal is None else sum(is_met(goal, value) for value in values)
    return Spread(
        metric=metric,
        mean=math.fsum(values) / len(values),
        deviation=statistics.stdev(values) if len(values) > 1 else 0.0,
        p10=quantile(values, 0.1),
        p50=quantile(values, 0.5),
        p90=quantile(values, 0.9),
        met=met,
        share_met=None if met is None else met / total,
        interval=None if met is None else jeffreys(met, total),
        modelled=None if goal is None else chance_of(goal, values),
    )
