"""Which trial of a search is the best so far, and what is left to meet. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from search.driver.results import CompleteTrial
from search.study.alternatives import OtherPlan, alternatives
from search.study.odds import Odds, judged, with_margins
from search.study.preference import Preference
from search.study.targets import Goal, objective_goals, variances


class Standings:
    """The leaderboard of one search.

    Args:
        goals: Its goals; relative ones are resolved once the current parameters are measured.
        preference: Which of several trials that meet every target is wanted.

    Attributes:
        failed: Trials that failed.
    """

    def __init__(self, goals: Sequence[Goal], preference: Preference) -> None:
        self._goals = tuple(goals)
        self._preference = preference
        self._complete: dict[int, CompleteTrial] = {}
        self._first: tuple[tuple[float, ...], int] | None = None
        self._ranked = 0
        self.failed = 0

    @property
    def preference(self) -> Preference:
        """What ranks trials that meet every target."""
        return self._preference

    @property
    def goals(self) -> tuple[Goal, ...]:
        """The goals, with relative ones resolved as far as that is known."""
        return self._goals

    def goals_for(
        self,
        iteration: int,
        metrics: Mapping[str, float],
        evaluations: Sequence[Mapping[str, float]],
    ) -> tuple[Goal, ...]:
        """Return the goals that a trial is judged by.

        The trial of the current parameters is what relative goals refer to, and what tells the
        margins of chance targets.
        """
        return self._judged(metrics, evaluations) if iteration == 0 else self._goals

    def add(self, trial: CompleteTrial) -> bool:
        """Take a complete trial in, and return whether it is the best by now."""
        if trial.iteration == 0:
            evaluations = [metrics for _, metrics in trial.evaluations]
            self._goals = self._judged(trial.metrics, evaluations)
            self._first, self._ranked = None, 0
        self._complete[trial.number] = trial
        return self.best is trial

    @property
    def complete(self) -> tuple[CompleteTrial, ...]:
        """Every complete trial, by number."""
        return tuple(self._complete[number] for number in sorted(self._complete))

    @property
    def count(self) -> int:
        """Trials that ended."""
        return len(self._complete) + self.failed

    @property
    def current(self) -> CompleteTrial | None:
        """The trial of the current parameters."""
        return next((trial for trial in self._complete.values() if trial.iteration == 0), None)

    @property
    def best(self) -> CompleteTrial | None:
        """The best trial; asked several times a trial, so only new ones are ranked."""
        for number, trial in islice(self._complete.items(), self._ranked, None):
            rank = (self._rank(trial), number)
            self._first = rank if self._first is None else min(self._first, rank)
        self._ranked = len(self._complete)
        return self._complete[self._first[1]] if self._first else None

    @property
    def best_variances(self) -> dict[str, float]:
        """Variance of each target at the best trial; empty before there is one."""
        best = self.best
        return variances(self._goals, best.metrics) if best else {}

    @property
    def meeting(self) -> list[CompleteTrial]:
        """The trials that meet every target, the best first."""
        met = [trial for trial in self.complete if self._meets(trial)]
        return sorted(met, key=lambda trial: (self._rank(trial), trial.number))

    def know(self, odds: Odds) -> None:
        """Judge and rank with what is known of chance from now on."""
        self._preference = replace(self._preference, odds=odds)
        self._goals = with_margins(self._goals, odds.noise)
        self._first, self._ranked = None, 0

    def _judged(
        self, metrics: Mapping[str, float], evaluations: Sequence[Mapping[str, float]]
    ) -> tuple[Goal, ...]:
        return judged(self._goals, self._preference.odds, metrics, evaluations)

    def finish(self) -> None:
        """Count no plan as one that chance allows of which that was not found out."""
        self._preference = replace(self._preference, is_final=True)
        self._first, self._ranked = None, 0

    def judging(self, trial: CompleteTrial | None) -> tuple[Goal, ...]:
        """Return the goals with the margins that a trial is judged by."""
        if trial is None:
            return self._goals
        return tuple(self._preference.judged(self._goals, trial.values))

    def _meets(self, trial: CompleteTrial) -> bool:
        return self._preference.is_met(self._goals, trial.values, trial.metrics)

    def _rank(self, trial: CompleteTrial) -> tuple[float, ...]:
        return self._preference.rank(self._goals, trial.values, trial.metrics)

    @property
    def alternatives(self) -> tuple[OtherPlan, ...]:
        """Other trials that meet every target, the one that differs most first."""
        meeting = [(trial.number, trial.values) for trial in self.meeting]
        return alternatives(self._preference.spec, meeting)

    @property
    def is_met(self) -> bool:
        """Whether the best trial meets every target."""
        best = self.best
        return best is not None and self._meets(best)

    @property
    def is_converged(self) -> bool:
        """Whether nothing better is to come: every target is met and nothing is to be optimised."""
        return self.is_met and not objective_goals(self._goals)
