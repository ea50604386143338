"""One study in the storage, as the driver uses it: start trials, finish them, read them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
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

    Attributes:
        study: The Optuna study, for samplers and importances.
        name: The study's name in the storage.
        is_new: Whether it was created by this object.
    """

    def __init__(self, storage: GroupingStorage, study: optuna.Study, *, is_new: bool) -> None:
        self.study = study
        self.name = study.study_name
        self.is_new = is_new
        self._storage = storage
        self._running: dict[int, FrozenTrial] = {}

    @classmethod
    def create_or_load(
        cls,
        storage: GroupingStorage,
        name: str,
        *,
        directions: Sequence[Literal["minimize", "maximize"]] = ("minimize",),
        base_name: str | None = None,
        sampler: optuna.samplers.BaseSampler | None = None,
    ) -> StudyStore:
        """Return the study of that name, created when the storage has none.

        Args:
            storage: From ``open_storage``.
            name: The study's name in the storage, version included.
            directions: ``minimize`` or ``maximize`` for each objective.
            base_name: The name in the study file, when ``name`` carries a version.
            sampler: Proposes what ``ask`` returns; Optuna's default when None.

        Raises:
            StorageError: If a study of that name has other directions, or the database failed.
        """
        with storage.translated():
            try:
                study = optuna.load_study(study_name=name, storage=storage, sampler=sampler)
            except KeyError:
                with storage.transaction():
                    study = optuna.create_study(
                        study_name=name,
                        storage=storage,
                        directions=list(directions),
                        sampler=sampler,
                    )
                    study.set_user_attr(versions.BASE_NAME, base_name or name)
                return cls(storage, study, is_new=True)
            given = [direction.name.lower() for direction in study.directions]
        if given != list(directions):
            raise StorageError(
                f"study {name!r} in {masked(storage.url)} must have the directions "
                f"{list(directions)}, but was created with {given}; use another study name"
            )
        return cls(storage, study, is_new=False)

    @classmethod
    def load(cls, storage: GroupingStorage, name: str) -> StudyStore:
        """Return an existing study, for reading.

        Raises:
            StorageError: If the storage has no study of that name, or the database failed.
        """
        with storage.translated():
            try:
                study = optuna.load_study(study_name=name, storage=storage)
            except KeyError as error:
                names = sorted(study.study_name for study in storage.get_all_studies())
                raise StorageError(
                    f"study {name!r} must be in {masked(storage.url)}, but it has only {names}"
                ) from error
        return cls(storage, study, is_new=False)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything written in the block durable at once, or not at all."""
        try:
            with self._storage.transaction():
                yield
        except BaseException:
            # Nothing was stored: neither may what Optuna and this object remember be.
            self._running.clear()
            self.study._storage = optuna.storages.get_storage(self._storage)
            raise

    def attributes(self) -> dict[str, Any]:
        """Return the study's attributes."""
        with self._storage.translated():
            return dict(self._storage.get_study_user_attrs(self.study._study_id))

    def set_attributes(self, values: Mapping[str, Any]) -> None:
        """Write attributes of the study (spec document, fingerprints, runs) at once."""
        self._storage.set_study_user_attrs(self.study._study_id, values)

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
                user_attrs=proposal.attributes(datetime.now(UTC)),
                system_attrs={},
                intermediate_values={},
            )
            for proposal in proposals
        ]
        started = self._storage.start_trials(self.study._study_id, templates)
        self._running.update({trial.number: trial for trial in started})
        return [trial.number for trial in started]

    def ask(
        self,
        distributions: Mapping[str, BaseDistribution],
        describe: Callable[[Mapping[str, Any]], Proposal],
    ) -> tuple[int, Proposal]:
        """Let the study's sampler propose a candidate and store it as a running trial.

        Args:
            distributions: The search space.
            describe: Turns the sampled parameters into the proposal to store.

        Raises:
            StorageError: If the database refused; then no trial was created.
        """
        with self.transaction():
            trial = self.study.ask(dict(distributions))
            proposal = describe(trial.params)
            stored = proposal.attributes(datetime.now(UTC))
            self._storage.set_trial_user_attrs(trial._trial_id, stored)
        # Samplers read the frozen trial once more when it ends, with what they noted on it.
        self._running[trial.number] = self._storage.get_trial(trial._trial_id)
        return trial.number, proposal

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
            asked: list[tuple[int, Proposal]] = []
            try:
                with self.transaction():
                    for _ in range(count):
                        asked.append(self.ask(distributions, describe))
                return dict(asked)
            except SpaceExhaustedError:
                count = len(asked)
        return {}

    def finish(self, trial: int, conclusion: Conclusion) -> None:
        """Store how a trial ended, with its state, in one transaction.

        Raises:
            StorageError: If the trial is not running, or the database refused.
        """
        frozen = self._running.get(trial) or self._find_running(trial)
        state, values = TrialState.FAIL, None
        if conclusion.failure is None:
            state, values = TrialState.COMPLETE, [float(value) for value in conclusion.values]
        with self.transaction():
            self._storage.set_trial_user_attrs(frozen._trial_id, conclusion.attributes())
            for name, value in conclusion.constraints.items():
                key = f"{_CONSTRAINTS_KEY}:{name}"  # as Trial.set_constraint stores it
                self._storage.set_trial_system_attr(frozen._trial_id, key, value)
            self.study.sampler.after_trial(self.study, frozen, state, values)
            self._storage.set_trial_state_values(frozen._trial_id, state, values)
        self._running.pop(trial, None)

    def trials(self, states: Sequence[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the trials in order of their numbers; not to be changed by the caller.

        Finished trials are read from the database once and then kept.
        """
        with self._storage.translated():
            return list(
                self.study._storage.get_all_trials(
                    self.study._study_id,
                    deepcopy=False,
                    states=None if states is None else tuple(states),
                )
            )

    def finished(self) -> list[FrozenTrial]:
        """Return the trials that ended, completed or failed."""
        return [trial for trial in self.trials() if trial.state.is_finished()]

    def set_aside(self) -> None:
        """Mark what runs as waiting, so that nothing seems to run until it is taken up again.

        Raises:
            StorageError: If the database refused.
        """
        running = self.trials((TrialState.RUNNING,))
        with self.transaction():
            for trial in running:
                self._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
        self._running.clear()

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
        self._running.clear()
        found = []
        with self.transaction():
            for trial in self.trials((TrialState.RUNNING, TrialState.WAITING)):
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

    def _find_running(self, number: int) -> FrozenTrial:
        for trial in self.trials((TrialState.RUNNING,)):
            if trial.number == number:
                return trial
        raise StorageError(
            f"trial {number} of study {self.name!r} must be running to be finished, but is not; "
            "another driver may have taken the study over"
        )


def _proposal(trial: FrozenTrial) -> Proposal:
    """Return the proposal that a trial was stored for."""
    stored = trial.user_attrs
    return Proposal(
        values=stored[attributes.CANDIDATE],
        iteration=stored[attributes.ITERATION],
        lineage=stored[attributes.LINEAGE],
        replications=tuple(stored[attributes.REPLICATIONS]),
    )
