"""One study in the storage, as the driver uses it: start trials, finish them, read them.

Samplers read all trials again and again, and Optuna writes a proposal in many small steps. Both
happen in a copy of the study in memory, which only the driver that holds the study's lock
changes; what came of it then goes to the database at once. When anything goes wrong in between,
the copy is dropped, and made anew from what the database holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState

from search.errors import StorageError
from search.sampling.feasible import SpaceExhaustedError
from search.storage import attributes, versions
from search.storage.attributes import Conclusion, Proposal
from search.storage.database import GroupingStorage, masked


@dataclass(frozen=True)
class OpenTrial:
    """A trial that was stored and has not ended: its driver died, or was interrupted.

    Attributes:
        trial: Its number.
        proposal: Its candidate, as it was stored.
        deaths: How many drivers in a row died while evaluating it.
    """

    trial: int
    proposal: Proposal
    deaths: int


class StudyStore:
    """A study of one storage; only the driver that holds the study's lock writes to it.

    What other programs change after the first look is not seen.

    Args:
        storage: Where it is.
        study_id: Its id there.
        name: Its name there.
        is_new: Whether it was created just now.

    Attributes:
        name: The study's name in the storage.
        is_new: Whether it was created by this object.
    """

    def __init__(self, storage: GroupingStorage, study_id: int, name: str, *, is_new: bool) -> None:
        self.name = name
        self.is_new = is_new
        self._storage = storage
        self._study_id = study_id
        self._copy: optuna.Study | None = None
        self._ids: list[int] = []
        self._system_attributes: dict[str, Any] = {}

    @classmethod
    def create_or_load(
        cls,
        storage: GroupingStorage,
        name: str,
        *,
        directions: Sequence[Literal["minimize", "maximize"]] = ("minimize",),
        base_name: str | None = None,
    ) -> StudyStore:
        """Return the study of that name, created when the storage has none.

        Args:
            storage: From ``open_storage``.
            name: The study's name in the storage, version included.
            directions: ``minimize`` or ``maximize`` for each objective.
            base_name: The name in the study file, when ``name`` carries a version.

        Raises:
            StorageError: If a study of that name has other directions, or the database failed.
        """
        with storage.translated():
            try:
                study_id = storage.get_study_id_from_name(name)
            except KeyError:
                with storage.transaction():
                    study = optuna.create_study(
                        study_name=name, storage=storage, directions=list(directions)
                    )
                    study.set_user_attr(versions.BASE_NAME, base_name or name)
                return cls(storage, study._study_id, name, is_new=True)
            found = storage.get_study_directions(study_id)
        given = [direction.name.lower() for direction in found]
        if given != list(directions):
            raise StorageError(
                f"study {name!r} in {masked(storage.url)} must have the directions "
                f"{list(directions)}, but was created with {given}; use another study name"
            )
        return cls(storage, study_id, name, is_new=False)

    @classmethod
    def load(cls, storage: GroupingStorage, name: str) -> StudyStore:
        """Return an existing study, for reading.

        Raises:
            StorageError: If the storage has no study of that name, or the database failed.
        """
        with storage.translated():
            try:
                study_id = storage.get_study_id_from_name(name)
            except KeyError as error:
                names = sorted(study.study_name for study in storage.get_all_studies())
                raise StorageError(
                    f"study {name!r} must be in {masked(storage.url)}, but it has only {names}"
                ) from error
        return cls(storage, study_id, name, is_new=False)

    @property
    def study(self) -> optuna.Study:
        """The study for samplers and importances: a copy in memory, not to be written to.

        Raises:
            StorageError: If the database could not be read.
        """
        if self._copy is None:
            with self._storage.translated():
                self._copy = self._read()
        return self._copy

    def attributes(self) -> dict[str, Any]:
        """Return the study's attributes."""
        with self._storage.translated():
            return dict(self._storage.get_study_user_attrs(self._study_id))

    def set_attributes(self, values: Mapping[str, Any]) -> None:
        """Write attributes of the study (spec document, fingerprints, runs) at once."""
        self._storage.set_study_user_attrs(self._study_id, values)

    def start(
        self,
        proposals: Sequence[Proposal],
        distributions: Mapping[str, BaseDistribution],
    ) -> list[int]:
        """Store proposals as running trials in one transaction, before they are dispatched.

        Args:
            proposals: The candidates, with a value for each distribution.
            distributions: The search space: parameter name to Optuna distribution.

        Returns:
            The number of each trial, in order.

        Raises:
            StorageError: If the database refused; then no trial was created.
            ValueError: If a value is not a choice of its parameter.
        """
        now = datetime.now()
        templates = [
            FrozenTrial(
                number=-1,
                trial_id=-1,
                state=TrialState.RUNNING,
                value=None,
                datetime_start=now,
                datetime_complete=None,
                params={name: proposal.values[name] for name in distributions},
                distributions=dict(distributions),
                user_attrs=_as_stored(proposal.attributes(datetime.now(UTC))),
                system_attrs={},
                intermediate_values={},
            )
            for proposal in proposals
        ]
        study = self.study
        try:
            started = self._storage.start_trials(self._study_id, templates)
            if started and started[0].number != len(self._ids):
                self._copy = None  # another program put trials there
            else:
                for trial in started:
                    study._storage.create_new_trial(study._study_id, template_trial=trial)
                    self._ids.append(trial._trial_id)
        except BaseException:
            self._copy = None
            raise
        return [trial.number for trial in started]

    def ask_all(
        self,
        count: int,
        distributions: Mapping[str, BaseDistribution],
        describe: Callable[[Mapping[str, Any]], Proposal],
        sampler: Callable[[], optuna.samplers.BaseSampler],
    ) -> dict[int, Proposal]:
        """Let a sampler propose a batch and store all of it, or nothing.

        A driver that dies in between leaves no part of a batch, so that the next one asks
        for the whole again and gets the same.

        Args:
            count: How many candidates; fewer when the sampler finds no more.
            distributions: The search space.
            describe: Turns sampled parameters into the proposal to store.
            sampler: Makes the sampler; called again when fewer are found.

        Returns:
            The proposals by trial number.

        Raises:
            StorageError: If the database refused; then no trial was created.
        """
        while count > 0:
            self.study.sampler = sampler()
            asked: dict[int, Proposal] = {}
            try:
                for _ in range(count):
                    number, proposal = self._ask(distributions, describe)
                    asked[number] = proposal
                self._start_asked(asked)
                return asked
            except SpaceExhaustedError:
                self._copy = None  # nothing was stored, and nothing of it may be remembered
                count = len(asked)
            except BaseException:
                self._copy = None
                raise
        return {}

    def finish(self, trial: int, conclusion: Conclusion) -> None:
        """Store how a trial ended, with its state, in one transaction.

        Raises:
            StorageError: If the trial is not running, or the database refused.
        """
        self.finish_all({trial: conclusion})

    def finish_all(self, conclusions: Mapping[int, Conclusion]) -> None:
        """Store how several trials ended, all of them or none, in one transaction.

        Args:
            conclusions: By trial, in the order in which they ended.

        Raises:
            StorageError: If one of the trials is not running, or the database refused.
        """
        memory = self.study._storage
        try:
            keys = {
                trial: self._finish_in_memory(trial, conclusion)
                for trial, conclusion in conclusions.items()
            }
            with self._storage.transaction():
                self._storage.finish_trials(
                    {self._ids[trial]: memory.get_trial(key) for trial, key in keys.items()}
                )
                self._store_system_attributes()
        except BaseException:
            self._copy = None
            raise

    def _finish_in_memory(self, trial: int, conclusion: Conclusion) -> int:
        """Let a trial of the copy in memory end, and return its id there."""
        study = self.study
        running = self._running(trial)
        key, memory = running._trial_id, study._storage
        state, values = TrialState.FAIL, None
        if conclusion.failure is None:
            state, values = TrialState.COMPLETE, [float(value) for value in conclusion.values]
        for name, value in _as_stored(conclusion.attributes()).items():
            memory.set_trial_user_attr(key, name, value)
        for name, margin in conclusion.constraints.items():
            # As Trial.set_constraint stores it.
            memory.set_trial_system_attr(key, f"{_CONSTRAINTS_KEY}:{name}", margin)
        # Samplers get the trial as it was while it ran, and note on it what they want to keep.
        study.sampler.after_trial(study, running, state, values)
        memory.set_trial_state_values(key, state, values)
        return key

    def trials(self, states: Sequence[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the trials in order of their numbers; not to be changed by the caller."""
        study = self.study
        return study._storage.get_all_trials(
            study._study_id, deepcopy=False, states=None if states is None else tuple(states)
        )

    def finished(self) -> list[FrozenTrial]:
        """Return the trials that ended, completed or failed."""
        return [trial for trial in self.trials() if trial.state.is_finished()]

    def set_aside(self) -> None:
        """Mark what runs as waiting, so that nothing seems to run until it is taken up again.

        Raises:
            StorageError: If the database refused.
        """
        self._copy = None
        with self._storage.transaction():
            for trial in self._stored((TrialState.RUNNING,)):
                self._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)

    def take_up(self, begun: Container[int] | None = None) -> list[OpenTrial]:
        """Return the trials that an earlier driver left open; they run again under their numbers.

        To be called by the driver that holds the study's lock, before it starts trials.
        Samplers then see what they would have seen had nothing happened.

        Args:
            begun: The trials that were being evaluated when the driver died; all that ran
                when None.

        Raises:
            StorageError: If the database refused.
        """
        self._copy = None
        found = []
        with self._storage.transaction():
            for trial in self._stored((TrialState.RUNNING, TrialState.WAITING)):
                stored = trial.user_attrs
                deaths = int(stored.get(attributes.DEATHS, 0))
                if attributes.CANDIDATE not in stored:
                    # Put there by somebody else, or by a version that died between two writes.
                    self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
                    continue
                if trial.state == TrialState.WAITING:
                    self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
                elif begun is None or trial.number in begun:
                    deaths += 1
                    self._storage.set_trial_user_attrs(trial._trial_id, {attributes.DEATHS: deaths})
                found.append(OpenTrial(trial.number, _proposal(trial), deaths))
        return found

    # --- the copy in memory -------------------------------------------------------

    def _read(self) -> optuna.Study:
        """Return a copy of what the database holds."""
        found = self._stored()
        self._system_attributes = dict(self._storage.get_study_system_attrs(self._study_id))
        memory = optuna.storages.InMemoryStorage()
        copy = optuna.create_study(
            study_name=self.name,
            storage=memory,
            directions=self._storage.get_study_directions(self._study_id),
        )
        for name, value in self._storage.get_study_user_attrs(self._study_id).items():
            memory.set_study_user_attr(copy._study_id, name, value)
        for name, value in self._system_attributes.items():
            memory.set_study_system_attr(copy._study_id, name, value)
        for trial in found:
            memory.create_new_trial(copy._study_id, template_trial=trial)
        self._ids = [trial._trial_id for trial in found]
        return copy

    def _stored(self, states: Sequence[TrialState] | None = None) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._study_id, deepcopy=False, states=states)

    def _ask(
        self,
        distributions: Mapping[str, BaseDistribution],
        describe: Callable[[Mapping[str, Any]], Proposal],
    ) -> tuple[int, Proposal]:
        trial = self.study.ask(dict(distributions))
        proposal = describe(trial.params)
        for name, value in _as_stored(proposal.attributes(datetime.now(UTC))).items():
            trial.set_user_attr(name, value)
        return trial.number, proposal

    def _start_asked(self, numbers: Collection[int]) -> None:
        """Write to the database what was asked for in memory.

        Raises:
            StorageError: If another program put trials into the study meanwhile.
        """
        asked = [trial for trial in self.trials((TrialState.RUNNING,)) if trial.number in numbers]
        with self._storage.transaction():
            started = self._storage.start_trials(self._study_id, asked)
            if [trial.number for trial in started] != list(numbers):
                raise StorageError(
                    f"only one program may put trials into study {self.name!r} while it is "
                    "searched, but another one did; start again to go on"
                )
            self._store_system_attributes()
        self._ids += [trial._trial_id for trial in started]

    def _store_system_attributes(self) -> None:
        """Write what samplers noted on the study."""
        study = self.study
        noted = dict(study._storage.get_study_system_attrs(study._study_id))
        for name, value in noted.items():
            if self._system_attributes.get(name) != value:
                self._storage.set_study_system_attr(self._study_id, name, value)
        self._system_attributes = noted

    def _running(self, number: int) -> FrozenTrial:
        memory, study = self.study._storage, self.study._study_id
        with suppress(KeyError):
            key = memory.get_trial_id_from_study_id_trial_number(study, number)
            trial = memory.get_trial(key)
            if trial.state == TrialState.RUNNING:
                return trial
        raise StorageError(
            f"trial {number} of study {self.name!r} must be running to be finished, but is not; "
            "another driver may have taken the study over"
        )


def _as_stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as a database gives them back."""
    made: dict[str, Any] = json.loads(json.dumps(dict(values)))
    return made


def _proposal(trial: FrozenTrial) -> Proposal:
    """Return the proposal that a trial was stored for."""
    stored = trial.user_attrs
    return Proposal(
        values=stored[attributes.CANDIDATE],
        iteration=stored[attributes.ITERATION],
        lineage=stored[attributes.LINEAGE],
        replications=tuple(stored[attributes.REPLICATIONS]),
    )
