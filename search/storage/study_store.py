"""One study in the storage, as the driver uses it: start trials, finish them, read them.

Samplers read all trials again and again, and Optuna writes a proposal in many small steps. Both
happen in a copy of the study in memory, which only the driver that holds the study's lock
changes; what came of it then goes to the database at once. When anything goes wrong in between,
the copy is dropped, and made anew from what the database holds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from search.errors import StorageError
from search.sampling.feasible import SpaceExhaustedError
from search.storage import attributes, versions
from search.storage.attributes import Conclusion, Proposal
from search.storage.database import GroupingStorage, masked
from search.storage.study_copy import StudyCopy, as_stored
from search.storage.trials import StoredTrial
from search.storage.vendor import running_trial, study_id_of, trial_id_of


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
        self._copy: StudyCopy | None = None

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
                return cls(storage, study_id_of(study), name, is_new=True)
            stored = storage.get_study_directions(study_id)
        given = [direction.name.lower() for direction in stored]
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

    def other_versions(self) -> list[StudyStore]:
        """Return the other versions of the study, for reading, oldest first."""
        base_name = str(self.attributes().get(versions.BASE_NAME, self.name))
        there = versions.versions(self._storage, base_name)
        return [
            StudyStore.load(self._storage, version.name)
            for version in there
            if version.name != self.name
        ]

    @property
    def study(self) -> optuna.Study:
        """The study for samplers and importances: a copy in memory, not to be written to.

        Raises:
            StorageError: If the database could not be read.
        """
        return self._in_memory().study

    def _in_memory(self) -> StudyCopy:
        if self._copy is None:
            with self._storage.translated():
                self._copy = StudyCopy(self._storage, self._study_id, self.name)
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
        templates = [
            running_trial(
                {name: proposal.values[name] for name in distributions},
                distributions,
                as_stored(proposal.attributes(datetime.now(UTC))),
            )
            for proposal in proposals
        ]
        memory = self._in_memory()
        with self._forgotten_on_error():
            started = self._storage.start_trials(self._study_id, templates)
            if started and started[0].number != len(memory.ids):
                self._copy = None  # another program put trials there
            else:
                memory.add(started)
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
            memory = self._in_memory()
            memory.study.sampler = sampler()
            asked: dict[int, Proposal] = {}
            try:
                with self._forgotten_on_error():
                    for _ in range(count):
                        number, proposal = memory.ask(distributions, describe)
                        asked[number] = proposal
                    self._start_asked(memory, asked)
                return asked
            except SpaceExhaustedError:
                count = len(asked)  # nothing of it was stored
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
        memory = self._in_memory()
        with self._forgotten_on_error():
            ended = [self._ended(memory, *conclusion) for conclusion in conclusions.items()]
            with self._storage.transaction():
                self._storage.finish_trials({memory.ids[trial.number]: trial for trial in ended})
                self._store_notes(memory)

    def _ended(self, memory: StudyCopy, number: int, conclusion: Conclusion) -> FrozenTrial:
        trial = memory.end(number, conclusion)
        if trial is None:
            raise StorageError(
                f"trial {number} of study {self.name!r} must be running to be finished, but is "
                "not; another driver may have taken the study over"
            )
        return trial

    def trials(self, states: Sequence[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the trials in order of their numbers; not to be changed by the caller."""
        return self._in_memory().trials(states)

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
                self._storage.set_trial_state_values(trial_id_of(trial), TrialState.WAITING)

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
        opened = []
        with self._storage.transaction():
            for frozen in self._stored((TrialState.RUNNING, TrialState.WAITING)):
                trial, key = StoredTrial(frozen), trial_id_of(frozen)
                deaths = trial.deaths
                if not trial.is_ours:
                    # Put there by somebody else, or by a version that died between two writes.
                    self._storage.set_trial_state_values(key, TrialState.FAIL)
                    continue
                if frozen.state == TrialState.WAITING:
                    self._storage.set_trial_state_values(key, TrialState.RUNNING)
                elif begun is None or trial.number in begun:
                    deaths += 1
                    self._storage.set_trial_user_attrs(key, {attributes.DEATHS: deaths})
                opened.append(OpenTrial(trial.number, trial.proposal, deaths))
        return opened

    # --- the copy in memory -------------------------------------------------------

    @contextmanager
    def _forgotten_on_error(self) -> Iterator[None]:
        """Drop the copy when anything goes wrong: it may know more than the database."""
        try:
            yield
        except BaseException:
            self._copy = None
            raise

    def _stored(self, states: Sequence[TrialState] | None = None) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._study_id, deepcopy=False, states=states)

    def _start_asked(self, memory: StudyCopy, numbers: Collection[int]) -> None:
        """Write to the database what was asked for in memory.

        Raises:
            StorageError: If another program put trials into the study meanwhile.
        """
        asked = [t for t in memory.trials((TrialState.RUNNING,)) if t.number in numbers]
        with self._storage.transaction():
            started = self._storage.start_trials(self._study_id, asked)
            if [trial.number for trial in started] != list(numbers):
                raise StorageError(
                    f"only one program may put trials into study {self.name!r} while it is "
                    "searched, but another one did; start again to go on"
                )
            self._store_notes(memory)
        memory.ids += [trial_id_of(trial) for trial in started]

    def _store_notes(self, memory: StudyCopy) -> None:
        """Write what samplers noted on the study."""
        for name, value in memory.news().items():
            self._storage.set_study_system_attr(self._study_id, name, value)
