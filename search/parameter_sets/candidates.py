"""Candidates by the names that people give them: current, active, best, trial:17, set:3."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.audit.anchor import Anchor
from search.audit.assemble import best_trial, meeting, resolved_goals
from search.errors import SpecError, UnknownTrialError
from search.parameter_sets.sets import ParameterSets
from search.scenario.verdict import VERIFIED, Verification
from search.storage.attributes import HEAD, SPEC
from search.storage.reading import read_study
from search.storage.trials import StoredTrial, Trial, read_trials
from search.study import StudySpec, edited_keys, study_as_ran
from search.study.alternatives import OtherPlan, alternatives
from search.study.layout import Layout
from search.study.preference import Preference
from search.study.space import current_candidate
from search.study.targets import Goal, all_met, goals_of
from search.study.values import Scalar

KINDS = "current, active, best, alternative:N, trial:N or set:N"
_NUMBERED = re.compile(r"(?:(trial|set|alternative):)?(\d{1,9})")


@dataclass(frozen=True)
class StoredStudy:
    """What the storage has of a study's newest version.

    Attributes:
        name: The study's name in the storage; None when it has not run yet.
        trials: Its trials by number.
        attributes: What was stored with the study itself.
    """

    name: str | None
    trials: Mapping[int, Trial]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def anchor(self) -> str | None:
        """Head of the study's audit trail, as the storage remembers it."""
        head = self.attributes.get(HEAD)
        return Anchor.of(head).text if head else None

    def as_ran(self, spec: StudySpec) -> StudySpec:
        """Return the study as its trials ran, by which its winner and alternatives are known."""
        return study_as_ran(self.attributes.get(SPEC), spec)

    def edited(self, spec: StudySpec) -> list[str]:
        """Return the keys that are others in the study file than when the trials ran."""
        return edited_keys(self.attributes.get(SPEC), spec)

    def goals(self, spec: StudySpec) -> tuple[Goal, ...]:
        """Return the study's goals, relative ones resolved as far as that is known."""
        return resolved_goals(goals_of(spec), self.trials.values(), self._preference(spec))

    def trial(self, number: int, *, option: str) -> Trial:
        """Return a trial, whatever became of it; ``option`` is what asked for it.

        Raises:
            SpecError: If there is no such trial.
        """
        if number not in self.trials:
            known = f"0 to {max(self.trials)}" if self.trials else "none; the study has not run yet"
            raise UnknownTrialError(
                f"{option} must be a trial of the study, but got {number}; there are {known}"
            )
        return self.trials[number]

    def verification(self, number: int | None) -> Verification | None:
        """Return what real dbt said of a trial; None when it was not asked."""
        document = (self.attributes.get(VERIFIED) or {}).get(str(number))
        return None if document is None else Verification.of_document(document)

    def best(self, spec: StudySpec) -> Trial | None:
        """Return the trial that ranks first; None while none is complete."""
        return best_trial(self.trials.values(), self.goals(spec), self._preference(spec))

    def alternatives(self, spec: StudySpec) -> tuple[OtherPlan, ...]:
        """Return other plans that meet every target, the one that differs most first."""
        read = read_trials(self.trials.values())
        met = meeting(read, self.goals(spec), self._preference(spec))
        return alternatives(spec, [(trial.number, trial.candidate) for trial in met])

    def _preference(self, spec: StudySpec) -> Preference:
        return Preference.stored(spec, self.attributes)


def stored_study(spec: StudySpec, results: Path) -> StoredStudy:
    """Return what the storage has of a study's newest version.

    Raises:
        StorageError: If the storage is there and cannot be read.
    """
    url = Layout(results, spec.study).storage_url(spec)
    for study in read_study(url, spec.study, is_newest_only=True):
        trials = {trial.number: trial for trial in study.trials}
        return StoredStudy(study.version.name, trials, study.attributes)
    return StoredStudy(None, {})


@dataclass(frozen=True)
class NamedCandidate:
    """A candidate that somebody named.

    Attributes:
        label: As it is called in a table: ``trial 17``.
        values: Parameter name to value; a set may lack some.
        study: The study in the storage, when it is a trial of it.
        trial: The trial, when it is one.
        metrics: What the trial yielded; empty when it is none.
    """

    label: str
    values: Mapping[str, Scalar]
    study: str | None = None
    trial: int | None = None
    run_id: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


class Candidates:
    """Finds candidates of a study by name.

    The best and the alternatives are those that ``status`` and the report show: of what the
    study ran for, also when its file was edited since.

    Args:
        spec: The study.
        results: Folder of all results.
    """

    def __init__(self, spec: StudySpec, results: Path) -> None:
        self._spec = spec
        self._sets = ParameterSets(spec)
        self.stored = stored_study(spec, results)
        self._as_ran = self.stored.as_ran(spec)

    def find(self, name: str, *, option: str, plain: str = "set") -> NamedCandidate:
        """Return the candidate of a name.

        Args:
            name: ``current``, ``active``, ``best``, ``alternative:1``, ``trial:17`` or ``set:3``.
            option: Where the name was given, for messages.
            plain: What a plain number stands for: ``set`` or ``trial``.

        Raises:
            SpecError: If nothing has that name.
        """
        if name == "current":
            return NamedCandidate("current", current_candidate(self._spec))
        if name == "active":
            return self._set(None, option)
        if name == "best":
            best = self.stored.best(self._as_ran)
            if best is None:
                raise SpecError(
                    f"{option} is best, but study {self._spec.study} has no complete trial yet; "
                    "start it with `scenario-search run`"
                )
            return self.trial(best.number, option=option)
        match = _NUMBERED.fullmatch(name)
        if match is None:
            raise SpecError(f"{option} must be {KINDS}, but got {name!r:.80}")
        number = int(match[2])
        if match[1] == "alternative":
            return self.alternative(number, option=option)
        if (match[1] or plain) == "trial":
            return self.trial(number, option=option)
        return self._set(number, option)

    def alternative(self, number: int, *, option: str) -> NamedCandidate:
        """Return another plan that meets every target, by its place from 1.

        Raises:
            SpecError: If there are not so many.
        """
        known = self.stored.alternatives(self._as_ran)
        if not 1 <= number <= len(known):
            there = "; ".join(f"{at}: {plan.name}" for at, plan in enumerate(known, start=1))
            raise SpecError(
                f"{option} must be the number of an alternative, but got {number}; there are "
                f"{there or 'none'}"
            )
        return self.trial(known[number - 1].trial, option=option)

    def trial(self, number: int, *, option: str) -> NamedCandidate:
        """Return a complete trial.

        Raises:
            SpecError: If there is no such trial, or it is not complete.
        """
        trial = StoredTrial(self.stored.trial(number, option=option))
        if not trial.is_complete:
            raise UnknownTrialError(
                f"{option} must be a complete trial, but trial {number} is "
                f"{trial.frozen.state.name.lower()}"
            )
        return NamedCandidate(
            label=f"trial {number}",
            values=trial.candidate,
            study=self.stored.name,
            trial=number,
            run_id=trial.run_id,
            metrics=trial.metrics,
        )

    def missed(self, metrics: Mapping[str, float]) -> list[str]:
        """Return the metrics whose targets, as the study file has them now, are missed."""
        goals = [wanted for wanted in self.stored.goals(self._spec) if wanted.metric in metrics]
        return [
            goal.metric for goal in goals if not goal.is_objective and not all_met((goal,), metrics)
        ]

    def _set(self, version: int | None, option: str) -> NamedCandidate:
        journal = self._sets.journal()
        chosen = journal.active if version is None else journal.get(version)
        if chosen is None:
            last = journal.sets[-1].version if journal.sets else None
            known = (
                "none; `scenario-search apply` makes the first" if last is None else f"0 to {last}"
            )
            asked = "the active set" if version is None else f"set {version}"
            raise SpecError(f"{option} must be a parameter set, but got {asked}; there are {known}")
        values = {n: v for n, v in chosen.values.items() if n in self._spec.parameters}
        label = f"set {chosen.version}" if version is not None else f"active set {chosen.version}"
        return NamedCandidate(label, values)
