"""Makes the sampler that a study file asks for, and says why."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from search.sampling.feasible import FeasibleSampler, GridOrderSampler, ProposedKeys
from search.sampling.history import metrics_of_trial
from search.sampling.target import TargetSampler
from search.study import StudySpec
from search.study.fingerprint import candidate_key
from search.study.odds import Odds
from search.study.space import (
    canonical,
    constraint_margins,
    constraints_hold,
    current_candidate,
    distributions,
    proposed,
)
from search.study.targets import Goal, goals_of, objective_goals

MAX_GRID_POINTS = 1_000_000


@dataclass(frozen=True)
class SamplerChoice:
    """A sampler's name, and the reason for it in a sentence."""

    name: str
    why: str


def choose_sampler(spec: StudySpec) -> SamplerChoice:
    """Return which sampler a study uses; ``auto`` picks one that suits its targets."""
    asked = spec.search.sampler
    if asked != "auto":
        return SamplerChoice(asked, "the study file asks for it")
    goals = goals_of(spec)
    if len(objective_goals(goals)) > 1:
        return SamplerChoice("nsga2", "several metrics are to be minimised or maximised")
    if all(goal.is_objective for goal in goals):
        return SamplerChoice("tpe", "nothing is to be met, only minimised or maximised")
    return SamplerChoice("target", "it models every metric and solves for all targets at once")


class Samplers:
    """The samplers of one search: one for each iteration, and one model of the metrics for all.

    The random numbers of an iteration follow from the study's seed and the iteration's number
    alone, so a study that is interrupted goes on as an undisturbed one would.

    Args:
        spec: The study.

    Attributes:
        odds: What is known of chance.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._keys = ProposedKeys()
        self._target: tuple[tuple[Goal, ...], TargetSampler] | None = None
        self.odds = Odds()

    def target(self, goals: Sequence[Goal]) -> TargetSampler:
        """Return the sampler that models the metrics: the same one while the goals are.

        What is learnt of chance moves the targets that it counts for, so it makes another one.
        """
        if self._target is None or self._target[0] != tuple(goals):
            self._target = (tuple(goals), target_sampler(self._spec, goals, self.odds))
        return self._target[1]

    def of_iteration(
        self, goals: Sequence[Goal], *, iteration: int, batch_size: int
    ) -> BaseSampler:
        """Return the sampler for one iteration.

        Args:
            goals: The targets, relative ones resolved.
            iteration: Number of the iteration, from 1.
            batch_size: Candidates that the iteration proposes.
        """
        spec = self._spec
        seed = derived_seed(spec.search.seed, iteration)
        is_target = choose_sampler(spec).name == "target"
        inner = self.target(goals) if is_target else _inner(spec, seed=seed, batch_size=batch_size)
        return self._feasible(inner, seed)

    def modelled(self, goals: Sequence[Goal], *, iteration: int) -> BaseSampler:
        """Return the sampler that models the metrics, whatever the study file names.

        Args:
            goals: The targets, relative ones resolved.
            iteration: Number of the iteration, from 1.
        """
        return self._feasible(self.target(goals), derived_seed(self._spec.search.seed, iteration))

    def _feasible(self, inner: BaseSampler, seed: int) -> BaseSampler:
        spec = self._spec
        return FeasibleSampler(
            inner,
            distributions=distributions(spec),
            is_allowed=lambda candidate: constraints_hold(spec, canonical(spec, candidate)),
            key=lambda candidate: candidate_key(canonical(spec, candidate)),
            seed=seed,
            rounded=lambda candidate: proposed(spec, candidate),
            keys=self._keys,
        )


def target_sampler(
    spec: StudySpec, goals: Sequence[Goal], odds: Odds | None = None
) -> TargetSampler:
    """Return the sampler that models the metrics; it also judges any sampler's search.

    Its proposals follow from the seed and the trial's number, so it takes the study's seed.

    Args:
        spec: The study.
        goals: Its goals.
        odds: What is known of chance.
    """

    def metrics(trial: FrozenTrial) -> dict[str, float] | None:
        known_metrics = metrics_of_trial(trial)
        if not known_metrics or not odds:
            return known_metrics
        return odds.denoised(goals, canonical(spec, trial.params), known_metrics)

    return TargetSampler(
        goals,
        current=current_candidate(spec),
        is_allowed=lambda candidate: constraints_hold(spec, canonical(spec, candidate)),
        margins=lambda candidate: constraint_margins(spec, canonical(spec, candidate)),
        seed=spec.search.seed,
        metrics=metrics,
        distributions=distributions(spec),
    )


def derived_seed(seed: int, iteration: int) -> int:
    """Return a 32-bit seed that depends on both numbers, the same on every machine."""
    digest = hashlib.sha256(f"{seed}/{iteration}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _inner(spec: StudySpec, *, seed: int, batch_size: int) -> BaseSampler:
    name = choose_sampler(spec).name
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "grid":
        # The order is the study's, not the iteration's: every point comes once.
        return GridOrderSampler(grid_levels(spec), seed=spec.search.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "cmaes":
            return optuna.samplers.CmaEsSampler(
                seed=seed, popsize=max(batch_size, 4), warn_independent_sampling=False
            )
        if name == "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=max(batch_size, 4))
        return optuna.samplers.TPESampler(seed=seed)


def grid_levels(spec: StudySpec) -> dict[str, list[Any]]:
    """Return the values of each parameter on a grid of about ``max_trials`` points.

    A parameter with a step or choices gives its own values when they are few enough;
    the others are spread evenly (evenly in the logarithm with ``log``).
    """
    space = distributions(spec)
    share = max(2, math.floor(spec.search.max_trials ** (1 / len(space))))
    return {name: _levels(distribution, share) for name, distribution in space.items()}


def _levels(distribution: Any, count: int) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution) or distribution.step is not None:
        steps = round((high - low) / distribution.step)
        picked = sorted({round(i * steps / (count - 1)) for i in range(count)})
        return [low + k * distribution.step for k in picked]
    assert isinstance(distribution, FloatDistribution)
    fractions = [i / (count - 1) for i in range(count)]
    if distribution.log:
        return [low * (high / low) ** fraction for fraction in fractions]
    return [low + (high - low) * fraction for fraction in fractions]
