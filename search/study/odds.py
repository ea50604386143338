"""How likely a plan meets its targets under seeds that nobody has seen. Pure.

A few plans are evaluated under seeds of their own beside those of the search: they are scouted.
From them follow what the seeds of the search hide (the offset), how far a seed moves each metric
and how metrics move together. A target counts as met by the chance that a further seed has; plans
are preferred by the chance that holds with 80 % confidence, since a mean and a deviation that are
known from few seeds are too kind to the plan that was chosen by them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from search.study.chance import NORMAL, WANTED, Noise, noise_of, window
from search.study.fingerprint import candidate_key
from search.study.normal import box_probability
from search.study.targets import Goal, resolve_goals
from search.study.values import Scalar

FEW, MANY = 6, 20
"""Seeds of a plan that may win, and of one that wins."""
KNOWN = 15
"""Seeds from which a plan's own deviations are used, not those of all plans together."""
CONFIDENT = NORMAL.inv_cdf(0.8)
"""Standard errors by which a chance is told too low rather than too high."""
LEFT = 0.1
"""Share of what meets a chance target that a plan which is not scouted yet may always have: what
is known of it is too little to refuse it."""


@dataclass(frozen=True)
class Scouted:
    """A plan that was evaluated under other seeds than those of the search.

    Attributes:
        key: The plan, as ``candidate_key`` has it.
        searched: Metrics under the search's seeds.
        seeds: Metrics under each of the other seeds.
    """

    key: str
    searched: Mapping[str, float]
    seeds: Mapping[str, Mapping[str, float]]

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the other seeds."""
        return math.fsum(seed[metric] for seed in self.seeds.values()) / len(self.seeds)

    def document(self) -> dict[str, Any]:
        """Return it as JSON-safe values."""
        return {"plan": self.key, "searched": dict(self.searched), "seeds": dict(self.seeds)}


@dataclass(frozen=True)
class Odds:
    """What is known of chance in a study.

    Attributes:
        scouted: Plans under other seeds, today's first, each once.
    """

    scouted: tuple[Scouted, ...] = ()

    @classmethod
    def of(cls, documents: Iterable[Mapping[str, Any]]) -> Odds:
        """Return what was stored with a study."""
        return cls(
            tuple(
                Scouted(document["plan"], document["searched"], document["seeds"])
                for document in documents
            )
        )

    def documents(self) -> list[dict[str, Any]]:
        """Return it as JSON-safe values."""
        return [plan.document() for plan in self.scouted]

    def __bool__(self) -> bool:
        return any(len(plan.seeds) > 1 for plan in self.scouted)

    def seeds_of(self, values: Mapping[str, Scalar]) -> int:
        """Return under how many other seeds a plan was evaluated."""
        scouted = self._by_key.get(candidate_key(values))
        return len(scouted.seeds) if scouted else 0

    def adding(self, scouted: Scouted) -> Odds:
        """Return the odds with a plan more, or with more of its seeds."""
        others = [plan for plan in self.scouted if plan.key != scouted.key]
        is_today = bool(self.scouted) and self.scouted[0].key == scouted.key
        return Odds((scouted, *others) if is_today else (*others, scouted))

    @cached_property
    def evaluations(self) -> int:
        """Evaluations that this took, beside those of trials."""
        return sum(len(plan.seeds) for plan in self.scouted)

    @cached_property
    def noise(self) -> dict[str, Noise]:
        """What the seed does to each metric where plans are likely to win."""
        if not self:
            return {}
        near = [plan for plan in self.scouted[1:] if plan.seeds] or list(self.scouted)
        weight = sum(len(plan.seeds) for plan in near)
        by_metric = {}
        for name in near[0].searched:
            offset = math.fsum(
                len(plan.seeds) * (plan.mean(name) - plan.searched[name]) for plan in near
            )
            deviation = math.sqrt(max(0.0, self._covariance(self.scouted, name, name)))
            by_metric[name] = Noise(offset / weight, deviation, self._most)
        return by_metric

    def denoised(
        self, goals: Sequence[Goal], values: Mapping[str, Scalar], metrics: Mapping[str, float]
    ) -> dict[str, float]:
        """Return the metrics of a plan as a model should take them.

        Those of chance targets are judged by the mean over seeds: where that is known, it counts,
        less the offset that the targets are shifted by.

        Args:
            goals: The study's.
            values: The plan.
            metrics: What came out under the seeds of the search.
        """
        own = self._by_key.get(candidate_key(values))
        if own is None or len(own.seeds) < 2:
            return dict(metrics)
        judged = {goal.metric: own.mean(goal.metric) - goal.shift for goal in goals if goal.shift}
        return dict(metrics) | judged

    def own_noise(self, values: Mapping[str, Scalar]) -> dict[str, Noise]:
        """Return what the seed does to each metric of a plan; empty where it is not scouted."""
        own = self._by_key.get(candidate_key(values))
        if own is None or len(own.seeds) < 2:
            return {}
        among = self._among(own)
        return {
            name: Noise(
                own.mean(name) - value,
                math.sqrt(max(0.0, self._covariance(among, name, name))),
                len(own.seeds),
            )
            for name, value in own.searched.items()
        }

    def _among(self, own: Scouted | None) -> Sequence[Scouted]:
        """Return the plans from whose deviations those of a plan follow."""
        return (own,) if own is not None and len(own.seeds) >= KNOWN else self.scouted

    def chance(
        self,
        goals: Sequence[Goal],
        values: Mapping[str, Scalar],
        metrics: Mapping[str, float],
    ) -> float:
        """Return the chance that a plan meets all of some targets, 0 to 1, told carefully.

        Args:
            goals: Resolved, without what is to be minimised or maximised.
            values: The plan.
            metrics: What came out under the seeds of the search.
        """
        goals = [goal for goal in goals if not goal.is_objective]
        if not goals:
            return 1.0
        key = (candidate_key(values), tuple(goals), tuple(metrics[goal.metric] for goal in goals))
        if key not in self._chances:
            self._chances[key] = self._chance(goals, candidate_key(values), metrics)
        return self._chances[key]

    @cached_property
    def _chances(self) -> dict[Any, float]:
        return {}

    def _chance(
        self,
        goals: Sequence[Goal],
        key: str,
        metrics: Mapping[str, float],
    ) -> float:
        own = self._by_key.get(key)
        count = len(own.seeds) if own else 0
        names = [goal.metric for goal in goals]
        if own is not None and count > 1:
            means = [own.mean(name) for name in names]
        else:
            means = [metrics[name] + self.noise[name].offset for name in names]
            count = self._most
        among = self._among(own)
        stretch = careful(count) ** 2
        covariance = [[stretch * self._covariance(among, a, b) for b in names] for a in names]
        low, high = zip(*(window(goal) for goal in goals), strict=True)
        return box_probability(means, covariance, low, high)

    @cached_property
    def _by_key(self) -> dict[str, Scouted]:
        return {plan.key: plan for plan in self.scouted}

    @cached_property
    def _most(self) -> int:
        return max(len(plan.seeds) for plan in self.scouted)

    def _covariance(self, among: Iterable[Scouted], left: str, right: str) -> float:
        total, freedom = 0.0, 0
        for plan in among:
            a, b = plan.mean(left), plan.mean(right)
            total += math.fsum((m[left] - a) * (m[right] - b) for m in plan.seeds.values())
            freedom += len(plan.seeds) - 1
        return total / max(freedom, 1)


def careful(seeds: int, wanted: float = WANTED) -> float:
    """Return the factor of a deviation, known from some seeds, that makes a chance hold.

    Source:
        The factor of a normal tolerance interval with 80 % confidence over that of a known
        distribution: G. Hahn and W. Meeker, "Statistical Intervals" (1991), ch. 4.4, to the
        first order in the number of seeds.

    Example:
        >>> round(careful(20), 2), round(careful(6), 2)
        (1.26, 1.48)
    """
    z = NORMAL.inv_cdf(wanted)
    return 1 + CONFIDENT * math.sqrt((1 + z * z / 2) / max(seeds, 2)) / z


def predictive(seeds: int, wanted: float = WANTED) -> float:
    """Return the factor of a deviation, known from some seeds, for the chance of a further one.

    Source:
        Student's t of the next observation, by the first term of Cornish and Fisher's expansion.

    Example:
        >>> round(predictive(20), 2), round(predictive(6), 2)
        (1.05, 1.17)
    """
    z = NORMAL.inv_cdf(wanted)
    count = max(seeds, 2)
    return math.sqrt(1 + 1 / count) * (1 + (z * z + 1) / (4 * (count - 1)))


def room(half_width: float, deviation: float, wanted: float) -> float:
    """Return how far from the middle of a window a mean may lie for a chance; 0 at least."""
    if deviation <= 0:
        return half_width
    low, high = 0.0, half_width
    for _ in range(40):
        middle = (low + high) / 2
        inside = NORMAL.cdf((half_width - middle) / deviation) - NORMAL.cdf(
            (-half_width - middle) / deviation
        )
        low, high = (middle, high) if inside >= wanted else (low, middle)
    return low


def safe_window(
    deviation: float, wanted: float, window_of: tuple[float, float]
) -> tuple[float, float]:
    """Return between what the mean over seeds of a metric meets its target with a chance.

    Args:
        deviation: Of the metric over seeds.
        wanted: The chance.
        window_of: What meets the target.

    Returns:
        Least and greatest; the middle twice where no mean does.
    """
    low, high = window_of
    if math.isfinite(low) and math.isfinite(high):
        middle, half = (low + high) / 2, (high - low) / 2
        reach = room(half, deviation, wanted)
        return middle - reach, middle + reach
    z = NORMAL.inv_cdf(wanted) * deviation
    return low + z, high - z


def judged(
    goals: Sequence[Goal],
    odds: Odds,
    metrics: Mapping[str, float],
    evaluations: Sequence[Mapping[str, float]],
) -> tuple[Goal, ...]:
    """Return goals with all that is known once today's parameters are evaluated.

    Args:
        goals: From ``goals_of``, or resolved.
        odds: What is known of chance.
        metrics: Of today's parameters, over the replications.
        evaluations: Of each replication.

    Raises:
        SpecError: As ``resolve_goals``.
        ValueError: As ``resolve_goals``.
    """
    noise = odds.noise or noise_of(metrics, evaluations, used=len(evaluations))
    return with_margins(resolve_goals(goals, metrics), noise)


def with_margins(
    goals: Sequence[Goal], noise: Mapping[str, Noise], *, is_own: bool = False
) -> tuple[Goal, ...]:
    """Return chance targets as what the search's own metric must be, the others as they are.

    A metric that is to meet its target with a probability must keep away from the ends of what
    meets it, by so many standard deviations as the probability asks for. Before a plan that may
    win is known under many seeds the deviation counts as it is: what is refused is never tried.

    Args:
        goals: Resolved.
        noise: Of each metric.
        is_own: Whether it is that of the plan which is judged.

    Source:
        The deterministic equivalent of a chance constraint: A. Charnes and W. Cooper,
        "Chance-constrained programming", Management Science 6 (1959).
    """
    kept = []
    for goal in goals:
        if goal.probability is not None and goal.metric in noise:
            known = noise[goal.metric]
            plain = replace(goal, margin=0.0, shift=0.0)
            low, high = window(plain)
            is_sure = is_own or known.seeds >= MANY
            factor = predictive(known.seeds, goal.probability) if is_sure else 1.0
            reach = known.deviation * factor
            least, most = safe_window(reach, goal.probability, (low, high))
            margin = least - low if math.isfinite(low) else high - most
            if not is_own:
                margin = min(margin, (1 - LEFT) * (high - low) / 2)
            goal = replace(plain, margin=margin, shift=known.offset)
        kept.append(goal)
    return tuple(kept)


def shares(goals: Sequence[Goal], noise: Mapping[str, Noise]) -> dict[str, float]:
    """Return the chance of each target alone by which all of them are met with ``WANTED``.

    Where the seed moves a metric much against its tolerance, its target takes the greatest part
    of what may be missed.
    """
    noisy = [
        goal
        for goal in goals
        if not goal.is_objective and goal.probability is None and goal.metric in noise
    ]
    missed = {}
    for goal in noisy:
        low, high = window(goal)
        known = noise[goal.metric]
        deviation = known.deviation * careful(known.seeds)
        is_bound = math.isinf(low) or math.isinf(high) or deviation <= 0
        missed[goal.metric] = 0.0 if is_bound else 2 * NORMAL.cdf((low - high) / 2 / deviation)
    rest = max(0.02, 1 - WANTED - math.fsum(missed.values())) / max(len(noisy), 1)
    return {name: max(0.51, 1 - share - rest) for name, share in missed.items()}
