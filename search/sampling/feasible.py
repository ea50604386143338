"""A sampler that proposes only candidates that may run and have not run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

Candidate = dict[str, Any]

ATTEMPTS = 50
"""Draws of the inner sampler before random ones are tried."""
RANDOM_ATTEMPTS = 2_000
"""Random draws before the space counts as exhausted."""


class SpaceExhaustedError(Exception):
    """No candidate is left that satisfies the constraints and has not been proposed."""


class FeasibleSampler(BaseSampler):
    """Draws from another sampler until the candidate holds the constraints and is new.

    Args:
        inner: The sampler that knows where to look.
        distributions: The whole search space.
        is_allowed: Whether a candidate satisfies the study's constraints.
        key: Text that is equal for equal candidates.
        seed: For the random draws that stand in when the inner sampler finds nothing.
        keys: Keys of finished trials by number; those that are worked out are added.
    """

    def __init__(
        self,
        inner: BaseSampler,
        *,
        distributions: Mapping[str, BaseDistribution],
        is_allowed: Callable[[Candidate], bool],
        key: Callable[[Candidate], str],
        seed: int,
        keys: dict[int, str] | None = None,
    ) -> None:
        self._inner = inner
        self._distributions = dict(distributions)
        self._is_allowed = is_allowed
        self._key = key
        self._random = RandomSampler(seed=seed)
        self._keys = {} if keys is None else keys

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the whole space: a candidate is judged as a whole."""
        return self._distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Candidate:
        """Return a new candidate that satisfies the constraints.

        Raises:
            SpaceExhaustedError: If none is found.
        """
        seen = self._proposed(study, trial)
        for sampler, attempts in ((self._inner, ATTEMPTS), (self._random, RANDOM_ATTEMPTS)):
            for _ in range(attempts):
                candidate = self._draw(sampler, study, trial)
                if self._key(candidate) not in seen and self._is_allowed(candidate):
                    return candidate
        raise SpaceExhaustedError

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Ask the inner sampler; only for parameters outside the declared space."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Pass on to the inner sampler."""
        self._inner.before_trial(study, trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Pass on to the inner sampler."""
        self._inner.after_trial(study, trial, state, values)

    def _draw(self, sampler: BaseSampler, study: Study, trial: FrozenTrial) -> Candidate:
        space = sampler.infer_relative_search_space(study, trial)
        candidate = dict(sampler.sample_relative(study, trial, space))
        for name, distribution in self._distributions.items():
            if name not in candidate:
                candidate[name] = sampler.sample_independent(study, trial, name, distribution)
        return {name: candidate[name] for name in self._distributions}

    def _proposed(self, study: Study, trial: FrozenTrial) -> set[str]:
        """Candidates of all other trials; a failed one is not tried again either."""
        found: set[str] = set()
        for other in study.get_trials(deepcopy=False):
            if other.number == trial.number or other.params.keys() != self._distributions.keys():
                continue
            key = self._keys.get(other.number) or self._key(other.params)
            if other.state.is_finished():  # a running one may be withdrawn, and its number reused
                self._keys[other.number] = key
            found.add(key)
        return found


class GridOrderSampler(BaseSampler):
    """Proposes the points of a grid in a random order, the same for the same seed.

    Optuna's own ``GridSampler`` cannot leave out points; here the wrapper asks again and
    the next point comes.

    Args:
        levels: Values of each parameter.
        seed: Decides the order.
    """

    def __init__(self, levels: Mapping[str, Sequence[Any]], *, seed: int) -> None:
        self._levels = dict(levels)
        self._shape = tuple(len(values) for values in levels.values())
        size = int(np.prod(self._shape, dtype=object))
        self._order = np.random.default_rng(seed).permutation(size)
        self._next: dict[int, int] = {}

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return no space: the grid holds its own values."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Candidate:
        """Return the next point of the grid; asked again for a trial, the one after.

        Raises:
            SpaceExhaustedError: If all points were given.
        """
        position = self._next.get(trial.number, 0)
        if position >= len(self._order):
            raise SpaceExhaustedError
        self._next[trial.number] = position + 1
        index = np.unravel_index(int(self._order[position]), self._shape)
        return {
            name: values[int(i)]
            for (name, values), i in zip(self._levels.items(), index, strict=True)
        }

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Refuse: a grid has no values for parameters that it does not know."""
        raise KeyError(param_name)
