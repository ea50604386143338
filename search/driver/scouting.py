"""Plans that may win are evaluated under other seeds during the search: does chance allow them?

Few seeds first, more for the plan that leads. What came out is stored with the study, so that an
interrupted search goes on as it would have.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from search.driver.futures import Futures, noise_warnings
from search.driver.progress import Progress
from search.driver.results import CompleteTrial
from search.driver.standings import Standings
from search.storage.study_store import StudyStore
from search.study import StudySpec
from search.study.chance import window
from search.study.fingerprint import candidate_key
from search.study.odds import FEW, MANY, Odds, Scouted
from search.study.preference import SCOUTED
from search.study.targets import Goal, all_met, effective, is_met

TIMES = 7
"""Evaluations under other seeds, at most, for each trial: eight times the study of one seed."""
LEAST_TRIALS = 5
"""Trials that the search of one seed counts as at least: today's and a batch."""
LEAST_POLISH = 4
"""Evaluations that it goes on with after its first hit, of the ``polish`` that it may, at least."""
LEAST_REPLICATIONS = 3
"""Replications from which those of a trial itself tell what a seed does."""
NOISE_SECONDS = 15.0
"""Time for today's parameters under other seeds, before the search."""
LUCK = 1.0
"""Standard deviations of a metric by which a plan may miss what a chance target asks of it."""
SCOUT_SECONDS = 60.0
"""Time for other seeds in all; a target with a probability gets what it needs."""


class Scout:
    """Evaluates plans that may win under seeds that the search does not use.

    Args:
        spec: The study.
        store: The study in its storage.
        futures: Evaluates.
        progress: Takes news for a person.
        clock: Seconds, monotonic.

    Attributes:
        odds: What is known of chance by now.
    """

    def __init__(
        self,
        spec: StudySpec,
        store: StudyStore,
        futures: Futures,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._store = store
        self._futures = futures
        self._progress = progress
        self._clock = clock
        self._seconds = 0.0
        self._is_warned = False
        self.odds = Odds()
        stored = store.attributes().get(SCOUTED)
        if stored is not None:
            self.odds = Odds.of(stored)

    @property
    def evaluations(self) -> int:
        """Evaluations under other seeds so far."""
        own = {str(seed) for seed in self._spec.scenario.seeds}
        return sum(len(plan.seeds.keys() - own) for plan in self.odds.scouted)

    def know_noise(self, current: CompleteTrial, goals: Sequence[Goal]) -> None:
        """Learn what the seed alone does to today's parameters, and tell where that is much.

        Args:
            current: Today's parameters, evaluated.
            goals: Resolved.
        """
        if not self._is_wanted(goals):
            return
        if not self.odds.scouted:
            if not self._own_seeds(current):
                self._progress.note(f"evaluating today's parameters under {FEW} seeds")
            self._scout(current, FEW, None if self._is_asked else NOISE_SECONDS)
        if not self._is_warned:
            self._is_warned = True
            for line in noise_warnings(goals, self.odds.noise):
                self._progress.note(f"warning: {line}")

    def follow(self, standings: Standings) -> None:
        """Evaluate the leading plan under other seeds until the plan that leads is known well.

        Args:
            standings: The leaderboard; it ranks with what comes out.
        """
        if not self.odds or not self._is_wanted(standings.goals):
            return
        while (best := standings.best) is not None:
            known = self._known(best)
            wanted = FEW if known < FEW else MANY
            room = self._room(standings)
            may_win = standings.is_met or self._is_near(standings, best)
            if not may_win or known >= MANY or room < wanted - known:
                return
            if known == 0:
                self._progress.note(f"evaluating trial {best.number} under other seeds")
            if not self._scout(best, wanted, self._seconds_left(standings.goals)):
                return
            standings.know(self.odds)

    def is_spent(self, standings: Standings) -> bool:
        """Return whether chance targets have taken what they may, and are not met.

        Args:
            standings: The leaderboard.
        """
        has_chance = any(goal.probability for goal in standings.goals)
        if not (self.odds and has_chance) or standings.is_met:
            return False
        return self._left(standings) < FEW

    def _room(self, standings: Standings) -> float:
        """Return how many evaluations under other seeds may follow now: seven for each trial."""
        return min(TIMES * standings.count - self.evaluations, self._left(standings))

    def _left(self, standings: Standings) -> float:
        """Return what is left of eight times the evaluations of the search of one seed.

        Infinite until a trial meets every target under the seed of the search. That search
        goes on from there towards what is preferred, and that counts as well.
        """
        plain = [replace(goal, margin=0.0, shift=0.0) for goal in standings.goals]
        met = [trial.iteration for trial in standings.complete if all_met(plain, trial.metrics)]
        if not met:
            return math.inf
        first = sum(trial.iteration <= min(met) for trial in standings.complete)
        search = self._spec.search
        polished = 0 if search.prefer == "none" else min(search.polish, LEAST_POLISH)
        most = (1 + TIMES) * max(first + polished, LEAST_TRIALS)
        return most - standings.count - self.evaluations

    def _is_near(self, standings: Standings, trial: CompleteTrial) -> bool:
        """Return whether a plan misses its chance targets by no more than may be luck."""
        noise = self.odds.own_noise(trial.values) or self.odds.noise
        for goal in standings.preference.judged(standings.goals, trial.values):
            if goal.is_objective or is_met(goal, trial.metrics[goal.metric]):
                continue
            known = noise.get(goal.metric)
            if goal.probability is None or known is None:
                return False
            low, high = window(effective(goal))
            value = trial.metrics[goal.metric]
            luck = LUCK * known.deviation * math.sqrt(1 + 1 / known.seeds)
            if not low - luck <= value <= high + luck:
                return False
        return True

    def _is_wanted(self, goals: Sequence[Goal]) -> bool:
        """Return whether chance matters: a study of one seed, or the mean over some."""
        scenario = self._spec.scenario
        replications = scenario.replications
        if not scenario.has_chance or not all(type(seed) is int for seed in scenario.seeds):
            return False
        if replications and len(replications.values) > 1 and replications.statistic != "mean":
            return False
        return self._spec.seeds_to_confirm > 0 or any(goal.probability for goal in goals)

    def _seconds_left(self, goals: Sequence[Goal]) -> float | None:
        """Return the time for other seeds; None for as long as it takes."""
        if self._is_asked or any(goal.probability for goal in goals):
            return None
        return SCOUT_SECONDS - self._seconds

    @property
    def _is_asked(self) -> bool:
        """Whether the study file says how many seeds it wants: it gets them, whatever the time."""
        return self._spec.search.confirm_seeds is not None

    def _known(self, trial: CompleteTrial) -> int:
        return max(self.odds.seeds_of(trial.values), len(self._own_seeds(trial)))

    def _own_seeds(self, trial: CompleteTrial) -> dict[str, dict[str, float]]:
        """Return a trial's own evaluations, when there are enough to tell what a seed does."""
        if len(trial.evaluations) < LEAST_REPLICATIONS:
            return {}
        return {str(seed): dict(metrics) for seed, metrics in trial.evaluations}

    def _scout(self, trial: CompleteTrial, count: int, seconds: float | None) -> bool:
        """Evaluate a plan under so many seeds, and return whether more is known of it."""
        own = self._own_seeds(trial)
        before = self.odds.seeds_of(trial.values)
        seeds = self._futures.fresh(max(0, count - len(own)), purpose="scout")
        began = self._clock()
        outcomes = []
        if seeds and (seconds is None or seconds > 0):
            outcomes = self._futures.evaluate(trial.values, seeds, seconds=seconds)
        self._seconds += self._clock() - began
        known = own | {
            str(outcome.request.replication): dict(outcome.metrics)
            for outcome in outcomes
            if outcome.is_complete
        }
        if len(known) < 2 or len(known) <= before:
            return False
        scouted = Scouted(candidate_key(trial.values), dict(trial.metrics), known)
        self.odds = self.odds.adding(scouted)
        self._store.set_attributes({SCOUTED: self.odds.documents()})
        return True
