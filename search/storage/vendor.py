"""Optuna's insides that this package stands on, all in one place.

Optuna promises its public names alone. What is here may change with any release; a row of
``docs/vendors.md`` says for each why it is needed, what breaks, and which test goes red first.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.study import Study
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

__all__ = ["FrozenStudy", "ShownTrials", "models"]


def study_id_of(study: Study) -> int:
    """Return the id by which a study's storage knows it."""
    return int(study._study_id)


def storage_of(study: Study) -> BaseStorage:
    """Return the storage of a study, to write what ``Study`` has no method for."""
    return study._storage


def trial_id_of(trial: FrozenTrial) -> int:
    """Return the id by which a trial's storage knows it; its number counts within the study."""
    return int(trial._trial_id)


def numbered(trial: FrozenTrial, *, number: int, trial_id: int) -> FrozenTrial:
    """Return a copy of a trial as a storage has it under another number and id."""
    copied = copy.copy(trial)
    copied.number, copied._trial_id = number, trial_id
    return copied


def running_trial(
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    user_attributes: Mapping[str, Any],
) -> FrozenTrial:
    """Return a trial that runs from now on and has no number yet."""
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None,
        params=dict(params),
        distributions=dict(distributions),
        user_attrs=dict(user_attributes),
        system_attrs={},
        intermediate_values={},
    )


def constraint_attributes(constraints: Mapping[str, float]) -> dict[str, float]:
    """Return the system attributes of a trial's constraints, as ``Trial.set_constraint`` has them.

    That method wants a running ``Trial``; here the trial ends in one write with everything else.
    """
    return {f"{_CONSTRAINTS_KEY}:{name}": margin for name, margin in constraints.items()}


def constraints_of(trial: FrozenTrial) -> list[float]:
    """Return a trial's stored constraints, at most 0 where one holds."""
    prefix = f"{_CONSTRAINTS_KEY}:"
    return [value for name, value in trial.system_attrs.items() if name.startswith(prefix)]


def with_constraints(trial: FrozenTrial, constraints: Sequence[float]) -> None:
    """Put constraints where dashboards up to 0.21 look for them; Optuna 5 has a key for each."""
    trial._system_attrs = {**trial.system_attrs, _CONSTRAINTS_KEY: list(constraints)}


class ShownTrials(RDBStorage):
    """A storage that hands out other trials than it holds; everything reads through one method."""

    def as_shown(self, study_id: int, trials: Sequence[FrozenTrial]) -> Iterator[FrozenTrial]:
        """Yield what is handed out in place of some trials of a study."""
        raise NotImplementedError

    def _get_trials(self, study_id: int, *arguments: Any, **options: Any) -> list[FrozenTrial]:
        trials = super()._get_trials(study_id, *arguments, **options)
        return list(self.as_shown(study_id, trials))
