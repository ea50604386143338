"""A sampler that proposes only candidates that may run and have not run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
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


class ProposedKeys:
    """Keys of the candidates of a study's trials, each worked out once.

    Give the same object to the samplers of all iterations of one study.
    """

    def __init__(self) -> None:
        self._of_settled: set[str] = set()
        self._settled = 0
        self._of_others: dict[int, tuple[Candidate, str]] = {}

    def update(
        self, trials: Sequence[FrozenTrial], names: Collection[str], key: Callable[[Candidate], str]
    ) -> Set[str]:
        """Return the keys of all trials that have a whole candidate; failed ones count as well.

        Args:
            trials: All of the study, by number.
            names: The parameters of a whole candidate.
            key: Text that is equal for equal candidates.
        """
        others: dict[int, tuple[Candidate, str]] = {}
        is_settled = True
        for trial in trials[self._settled :]:
            is_settled = is_settled and trial.state.is_finished()
            if trial.params.keys() == names:
                known = self._of_others.get(trial.number)
                # A running trial may be withdrawn, and its number be given to another candidate.
                if known is None or known[0] != trial.params:
                    known = (trial.params, key(trial.params))
                if is_settled:
                    self._of_settled.add(known[1])
                else:
                    others[trial.number] = known
            self._settled += is_settled
        self._of_others = others
        return self._of_settled.union(text for _, text in others.values())


class FeasibleSampler(BaseSampler):
    """Draws from another sampler until the candidate holds the constraints and is new.

    Args:
        inner: The sampler that knows where to look.
        distributions: The whole search space.
        is_allowed: Whether a candidate satisfies the study's constraints.
        key: Text that is equal for equal candidates.
        seed: For the random draws that stand in when the inner sampler finds nothing.
        rounded: The candidate with the digits that a proposal may have.
        keys: What is known of the trials; new when left out.
    """

    def __init__(
        self,
        inner: BaseSampler,
        *,
        distributions: Mapping[str, BaseDistribution],
        is_allowed: Callable[[Candidate], bool],
        key: Callable[[Candidate], str],
        seed: int,
        rounded: Callable[[Candidate], Candidate] = dict,
        keys: ProposedKeys | None = None,
    ) -> None:
        self._inner = inner
        self._distributions = dict(distributions)
        self._is_allowed = is_allowed
        self._key = key
        self._rounded = rounded
        self._random = RandomSampler(seed=seed)
        self._keys = ProposedKeys() if keys is None else keys

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
        trials = study.get_trials(deepcopy=False)
        seen = self._keys.update(trials, self._distributions.keys(), self._key)
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
        return self._rounded({name: candidate[name] for name in self._distributions})


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
