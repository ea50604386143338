"""A study in memory, as a sampler needs it: read whole, asked, and told, without a database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from search.storage.attributes import Conclusion, Proposal
from search.storage.database import GroupingStorage
from search.storage.vendor import (
    constraint_attributes,
    storage_of,
    study_id_of,
    trial_id_of,
)


class StudyCopy:
    """What a database holds of one study, in memory, with what happened since.

    Args:
        storage: The database.
        study_id: The study's id there.
        name: The study's name.

    Attributes:
        study: For samplers and importances.
        ids: Id of each trial in the database, by number.
        noted: What samplers have noted on the study, as the database has it.
    """

    def __init__(self, storage: GroupingStorage, study_id: int, name: str) -> None:
        trials = storage.get_all_trials(study_id, deepcopy=False)
        self.noted = dict(storage.get_study_system_attrs(study_id))
        self._memory = optuna.storages.InMemoryStorage()
        self.study = optuna.create_study(
            study_name=name,
            storage=self._memory,
            directions=storage.get_study_directions(study_id),
        )
        self._study_id = study_id_of(self.study)
        for key, value in storage.get_study_user_attrs(study_id).items():
            self._memory.set_study_user_attr(self._study_id, key, value)
        for key, value in self.noted.items():
            self._memory.set_study_system_attr(self._study_id, key, value)
        self.ids: list[int] = []
        self.add(trials)

    def add(self, trials: Sequence[FrozenTrial]) -> None:
        """Take trials in that are in the database."""
        for trial in trials:
            self._memory.create_new_trial(self._study_id, template_trial=trial)
            self.ids.append(trial_id_of(trial))

    def trials(self, states: Sequence[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the trials in order of their numbers; not to be changed by the caller."""
        return storage_of(self.study).get_all_trials(
            self._study_id, deepcopy=False, states=None if states is None else tuple(states)
        )

    def ask(
        self,
        distributions: Mapping[str, BaseDistribution],
        describe: Callable[[Mapping[str, Any]], Proposal],
    ) -> tuple[int, Proposal]:
        """Let the study's sampler propose one candidate, as a trial that runs here alone."""
        trial = self.study.ask(dict(distributions))
        proposal = describe(trial.params)
        for name, value in as_stored(proposal.attributes(datetime.now(UTC))).items():
            trial.set_user_attr(name, value)
        return trial.number, proposal

    def end(self, number: int, conclusion: Conclusion) -> FrozenTrial | None:
        """Let a trial end, and return it; None when no such trial runs."""
        running = self._running(number)
        if running is None:
            return None
        key, memory = trial_id_of(running), self._memory
        state, values = TrialState.FAIL, None
        if conclusion.failure is None:
            state, values = TrialState.COMPLETE, [float(value) for value in conclusion.values]
        for name, value in as_stored(conclusion.attributes()).items():
            memory.set_trial_user_attr(key, name, value)
        for name, margin in constraint_attributes(conclusion.constraints).items():
            memory.set_trial_system_attr(key, name, margin)
        # Samplers get the trial as it was while it ran, and note on it what they want to keep.
        self.study.sampler.after_trial(self.study, running, state, values)
        memory.set_trial_state_values(key, state, values)
        return memory.get_trial(key)

    def news(self) -> dict[str, Any]:
        """Return what samplers noted on the study that the database does not have yet."""
        now = dict(self._memory.get_study_system_attrs(self._study_id))
        changed = {name: value for name, value in now.items() if self.noted.get(name) != value}
        self.noted = now
        return changed

    def _running(self, number: int) -> FrozenTrial | None:
        with suppress(KeyError):
            key = self._memory.get_trial_id_from_study_id_trial_number(self._study_id, number)
            trial = self._memory.get_trial(key)
            if trial.state == TrialState.RUNNING:
                return trial
        return None


def as_stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as a database gives them back."""
    made: dict[str, Any] = json.loads(json.dumps(dict(values)))
    return made
