"""One study in the storage, as the driver uses it: start trials, finish them, read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState

from search.errors import StorageError
from search.scenario.outcome import Failure, ParameterValue
from search.storage import attributes, versions
from search.storage.attributes import Conclusion, Proposal
from search.storage.database import GroupingStorage, masked


@dataclass(frozen=True)
class Orphan:
    """A trial that a dead driver left running, and whose candidate nobody took up yet.

    Attributes:
        trial: Its number.
        values: Its candidate.
        iteration: The iteration that proposed it.
        replications: Values of the replication variable that it was to be evaluated with.
        lineage: Where the candidate came from.
        deaths: How many drivers in a row died while evaluating this candidate, at least 1.
    """

    trial: int
    values: Mapping[str, ParameterValue]
    iteration: int
    replications: Sequence[ParameterValue]
    lineage: str
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
        with self._storage.transaction():
            yield

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

    def fail_orphans(self, reason: str) -> list[Orphan]:
        """Fail the trials that a dead driver left running; return what is to be taken up.

        To be called by the driver that holds the study's lock, before it starts trials.
        A candidate counts as taken up once a trial with the lineage ``resumption_of`` it is
        stored, so that a driver that dies in between loses none.

        Raises:
            StorageError: If the database refused.
        """
        running = self.trials((TrialState.RUNNING,))
        with self.transaction():
            for trial in running:
                failure = Failure(stage="driver", message=reason, is_retryable=True)
                self._storage.set_trial_user_attrs(
                    trial._trial_id, Conclusion(outcomes=(), failure=failure).attributes()
                )
                self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        self._running.clear()
        return _orphans(self.trials())

    def _find_running(self, number: int) -> FrozenTrial:
        for trial in self.trials((TrialState.RUNNING,)):
            if trial.number == number:
                return trial
        raise StorageError(
            f"trial {number} of study {self.name!r} must be running to be finished, but is not; "
            "another driver may have taken the study over"
        )


def _orphans(trials: Sequence[FrozenTrial]) -> list[Orphan]:
    resumed: dict[int, int] = {}
    for trial in trials:
        lineage = str(trial.user_attrs.get(attributes.LINEAGE, ""))
        parent = attributes.parent_of(lineage)
        if parent is not None and lineage == attributes.resumption_of(parent):
            resumed[trial.number] = parent
    taken_up = set(resumed.values())
    return [
        Orphan(
            trial=trial.number,
            values=trial.user_attrs[attributes.CANDIDATE],
            iteration=trial.user_attrs[attributes.ITERATION],
            replications=tuple(trial.user_attrs[attributes.REPLICATIONS]),
            lineage=trial.user_attrs[attributes.LINEAGE],
            deaths=_deaths(trial.number, resumed),
        )
        for trial in trials
        if _is_orphaned(trial) and trial.number not in taken_up
    ]


def _is_orphaned(trial: FrozenTrial) -> bool:
    outcome = trial.user_attrs.get(attributes.OUTCOME) or {}
    failure = outcome.get("failure") or {}
    # A trial that died between ask and its attributes has no candidate to take up.
    return failure.get("stage") == "driver" and attributes.CANDIDATE in trial.user_attrs


def _deaths(trial: int, resumed: Mapping[int, int]) -> int:
    deaths = 1
    while trial in resumed:
        trial = resumed[trial]
        deaths += 1
    return deaths
