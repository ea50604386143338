"""The search: propose a batch, submit, collect, tell, record; until there is a reason to stop."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.driver.ending import EndJudge
from search.driver.limits import Limits, Progressed, Stop
from search.driver.progress import Progress, Standing
from search.driver.proposing import Proposer, WarmStart
from search.driver.results import CompleteTrial, SearchEnd
from search.driver.scouting import Scout
from search.driver.standings import Standings
from search.driver.underway import Recorder, Underway
from search.sampling.choice import Samplers, choose_sampler
from search.scenario.outcome import Failure, Outcome
from search.storage.attributes import Conclusion, Proposal
from search.storage.study_store import OpenTrial, StudyStore
from search.storage.trials import StoredTrial, read_trials
from search.study import StudySpec
from search.study.figures import with_unit
from search.study.preference import Preference
from search.study.targets import Goal, standing_texts
from search.workers.contract import WorkerPool
from search.workers.spool import Spool

INDEPENDENT_SAMPLERS = frozenset({"random", "grid"})
"""Samplers that learn nothing from outcomes: the next batch is proposed while one runs."""
MAX_DEATHS = 3
"""Drivers that may die while evaluating one candidate before it is left alone."""


@dataclass(frozen=True)
class _Batch:
    """Trials that are evaluated together: one iteration.

    Attributes:
        iteration: Its number.
        trials: Their numbers.
        began_at: When they were proposed, by the driver's clock.
    """

    iteration: int
    trials: frozenset[int]
    began_at: float


class Driver:
    """Searches one study. The only writer of its storage.

    Args:
        spec: The study.
        goals: Its goals, not yet resolved against the current parameters.
        store: The study in its storage.
        pool: Evaluates candidates; opened.
        batch_size: Candidates of one iteration.
        recorder: Takes the trail.
        progress: Takes news for a person.
        details: Stored with each trial (run id, fingerprints).
        warm_start: Returns candidates of earlier studies; they are the first iteration.
        scout: Evaluates plans that may win under other seeds; None where chance does not count.
        max_new_iterations: Iterations that this driver adds at most; None for no limit but
            the study's.
        spool: Where workers keep outcomes until the driver has stored them.
        clock: Seconds, monotonic.
    """

    def __init__(  # noqa: PLR0913 - the driver is where the collaborators meet
        self,
        *,
        spec: StudySpec,
        goals: Sequence[Goal],
        store: StudyStore,
        pool: WorkerPool,
        batch_size: int,
        recorder: Recorder,
        progress: Progress,
        details: Mapping[str, Any],
        warm_start: WarmStart = lambda _: (),
        scout: Scout | None = None,
        max_new_iterations: int | None = None,
        spool: Spool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._store = store
        self._pool = pool
        self._recorder = recorder
        self._progress = progress
        self._warm_start = warm_start
        self._scout = scout
        self._limits = Limits(spec.search, max_new_iterations)
        self._spool = spool
        self._clock = clock
        replications = spec.scenario.replications
        self._standings = Standings(goals, Preference.of(spec))
        self._samplers = Samplers(spec)
        self._proposer = Proposer(
            spec, store, self._standings, self._samplers, batch_size=batch_size, details=details
        )
        self._ending = EndJudge(
            spec, store, self._standings, self._samplers, scout, batch_size=batch_size
        )
        self._underway = Underway(
            store=store,
            pool=pool,
            standings=self._standings,
            recorder=recorder,
            progress=progress,
            statistic=replications.statistic if replications else "mean",
            spool=spool,
            clock=clock,
        )
        self._batches: deque[_Batch] = deque()
        # What random and grid samplers propose does not follow from outcomes, so workers need
        # not wait for those of a batch; a batch of the other samplers is worth the wait.
        self._ahead = int(choose_sampler(spec).name in INDEPENDENT_SAMPLERS)
        self._completed_at = -math.inf
        self._iteration_seconds: list[float] = []
        self._answer: int | None = None

    @property
    def goals(self) -> tuple[Goal, ...]:
        """The goals; relative ones are resolved once the current parameters are measured."""
        return self._standings.goals

    @property
    def first_submit_at(self) -> float | None:
        """When the first candidate was submitted, by the clock; None before."""
        return self._underway.first_submit_at

    # --- the loop ---------------------------------------------------------------

    def run(self, preflight: Outcome | None = None) -> SearchEnd:
        """Search until a target is met or a limit reached, and return how it ended.

        Args:
            preflight: The outcome of the current candidate, when it was evaluated already.

        Raises:
            StudyFailedError: If every trial fails.
            StorageError: If the storage refuses; nothing that was told is lost.
        """
        self._started = self._clock()
        self._take_up()
        self._measure_current(preflight)
        self._learn_noise()
        self._follow()
        self._try_earlier()
        while True:
            stop = self._ending.reason_to_stop(self._limit_reached())
            while stop is None and len(self._batches) <= self._ahead and not self._limit_reached():
                self._batches.append(self._begin_batch())
            if not self._batches:
                assert stop is not None
                self._tell_answer(stop)
                polishing = self._polish(stop)
                if polishing is None:
                    return self._ending.end(
                        stop,
                        iterations=self._proposer.iteration,
                        polished=self._proposer.polished,
                    )
                self._batches.append(polishing)
            self._recorder.publish()  # while the workers have something to do
            self._finish_batch(self._batches.popleft())

    @property
    def answer(self) -> int | None:
        """The trial that meets every target and ranks first so far; None while there is none."""
        return self._answer

    def _tell_answer(self, stop: Stop) -> None:
        """Tell a plan that meets every target at once; what follows may take far longer."""
        best = self._standings.best
        if stop.state != "converged" or best is None or best.number == self._answer:
            return
        is_first, self._answer = self._answer is None, best.number
        units = {name: parameter.unit for name, parameter in self._spec.parameters.items()}
        plan = ", ".join(f"{name} {with_unit(v, units[name])}" for name, v in best.values.items())
        met = ", ".join(
            f"{goal.metric} {with_unit(best.metrics[goal.metric], goal.unit)}"
            for goal in self.goals
        )
        if is_first:
            self._progress.note(f"every target is met by trial {best.number}: {plan} ({met})")
        else:
            self._progress.note(f"trial {best.number} is preferred: {plan} ({met})")

    def _begin_batch(self) -> _Batch:
        began = self._clock()
        batch = self._proposer.batch(self._room())
        self._tell_proposed(batch)
        return self._dispatch(batch, began)

    def _dispatch(self, proposals: Mapping[int, Proposal], began: float) -> _Batch:
        self._underway.submit(proposals)
        return _Batch(self._proposer.iteration, frozenset(proposals), began)

    def _tell_proposed(self, batch: Mapping[int, Proposal]) -> None:
        self._recorder.event(
            "iteration_proposed", iteration=self._proposer.iteration, trials=sorted(batch)
        )

    def _finish_batch(self, batch: _Batch) -> None:
        self._collect(batch)
        self._follow()
        self._complete_iteration(batch)

    def _take_up(self) -> None:
        """Go on where an earlier driver stopped, or died."""
        begun = self._spool.begun() if self._spool else None
        opened = self._store.take_up(begun)
        for finished in read_trials(self._store.finished()):
            self._remember(finished)
        if self._spool:
            self._spool.keep(trial.trial for trial in opened)
        for trial in opened:
            if trial.deaths >= MAX_DEATHS:
                self._leave_alone(trial)
        waiting = {trial.trial: trial.proposal for trial in opened if trial.deaths < MAX_DEATHS}
        for proposal in waiting.values():
            self._proposer.note(0, proposal.lineage)
        if not waiting:
            return
        self._progress.note(f"taking up {len(waiting)} unfinished trials of an earlier run")
        began = self._clock()
        self._recorder.event("trials_taken_up", trials=sorted(waiting))
        self._underway.submit(waiting)
        for iteration in sorted({proposal.iteration for proposal in waiting.values()}):
            trials = [
                number for number, proposal in waiting.items() if proposal.iteration == iteration
            ]
            self._proposer.note(iteration, None)
            self._finish_batch(_Batch(iteration, frozenset(trials), began))

    def _leave_alone(self, left: OpenTrial) -> None:
        """Fail a trial over which drivers die, so that a study never hangs on it."""
        message = (
            f"{left.deaths} drivers died while they evaluated this candidate; it is left alone"
        )
        failure = Failure(stage="driver", message=message)
        self._store.finish(left.trial, Conclusion(outcomes=(), failure=failure))
        iteration = left.proposal.iteration
        self._proposer.note(iteration, None)
        self._recorder.event(
            "trial_finished", trial=left.trial, iteration=iteration, metrics={}, failure=message
        )

    def _measure_current(self, preflight: Outcome | None) -> None:
        """Iteration 0: the current parameters, what relative targets refer to."""
        if self._standings.current is not None:
            return
        number, proposal = self._proposer.current()
        if preflight is not None and len(proposal.replications) <= 1:
            self._underway.expect(number, proposal)
            self._recorder.event("preflight", trial=number)
            self._underway.receive([(number, preflight)])
        else:
            self._underway.submit({number: proposal})
            self._collect(_Batch(0, frozenset([number]), self._clock()))
        self._ending.require_resolved_goals()
        self._recorder.event("iteration_completed", iteration=0)

    def _learn_noise(self) -> None:
        """Learn what chance does, before the search: the plan that is preferred keeps away."""
        current = self._standings.current
        if current is not None and self._scout is not None:
            self._scout.know_noise(current, self.goals)
            self._standings.know(self._scout.odds)
            self._samplers.odds = self._scout.odds

    def _follow(self) -> None:
        """Evaluate the plan that leads under other seeds, while nothing else is evaluated."""
        if self._scout is not None and not len(self._underway) and not self._batches:
            self._scout.follow(self._standings)
            self._samplers.odds = self._scout.odds

    def _try_earlier(self) -> None:
        """Evaluate what earlier studies found, before anything is proposed."""
        if self._proposer.iteration > 0:
            return
        began = self._clock()
        proposals = self._proposer.earlier(self._warm_start)
        if proposals:
            self._progress.note(f"trying {len(proposals)} candidates of earlier studies first")
            self._finish_batch(self._dispatch(proposals, began))

    def _polish(self, stop: Stop) -> _Batch | None:
        """Begin a batch that gets nearer to what is preferred; None when there is none."""
        is_over = self._limits.reached_by_polish(self._progressed()) is not None
        if stop.state != "converged" or is_over:
            return None
        began, is_first = self._clock(), self._proposer.polished == 0
        batch = self._proposer.nearer(self._room())
        if not batch:
            return None
        if is_first:
            self._progress.note("looking for what is preferred")
        self._tell_proposed(batch)
        return self._dispatch(batch, began)

    def _collect(self, batch: _Batch) -> None:
        self._underway.collect(batch.trials, lambda: self._show(batch))

    def _complete_iteration(self, batch: _Batch) -> None:
        # Batches overlap when they are asked for ahead; their seconds add up to the search's.
        now = self._clock()
        seconds = now - max(batch.began_at, self._completed_at)
        self._completed_at = now
        self._iteration_seconds.append(seconds)
        best = self._standings.best
        self._recorder.event(
            "iteration_completed",
            iteration=batch.iteration,
            seconds=seconds,
            best_trial=best.number if best else None,
            best_variances=self._standings.best_variances,
        )

    def _limit_reached(self) -> str | None:
        return self._limits.reached(self._progressed())

    def _progressed(self) -> Progressed:
        return Progressed(
            iteration=self._proposer.iteration,
            begun=len(self._iteration_seconds) + len(self._batches),
            trials=self._proposed(),
            seconds=self._clock() - self._started,
            is_exhausted=self._proposer.is_exhausted,
        )

    # --- what is known ----------------------------------------------------------

    def _remember(self, trial: StoredTrial) -> None:
        self._proposer.note(int(trial.iteration or 0), trial.lineage)
        if not trial.is_complete:
            # A trial that its driver left behind says nothing about its candidate.
            self._standings.failed += trial.failure.stage != "driver"
            return
        self._standings.add(
            CompleteTrial(
                number=trial.number,
                iteration=int(trial.iteration or 0),
                values=trial.frozen.params,
                metrics=trial.metrics,
                evaluations=trial.evaluations,
            )
        )

    def _room(self) -> int:
        """Return how many trials may still be begun."""
        return self._spec.search.max_trials - self._proposed()

    def _proposed(self) -> int:
        return self._standings.count + len(self._underway)

    def _show(self, batch: _Batch) -> None:
        standings, best = self._standings, self._standings.best
        seconds_left = None
        if self._iteration_seconds:
            mean = math.fsum(self._iteration_seconds) / len(self._iteration_seconds)
            seconds = self._clock() - self._started
            seconds_left = self._limits.seconds_left(mean, batch.iteration, seconds)
            seconds_left *= 1 if len(self._underway) else 0
        self._progress.standing(
            Standing(
                iteration=batch.iteration,
                max_iterations=self._spec.search.max_iterations,
                done=len(batch.trials) - self._underway.of(batch.trials),
                size=len(batch.trials),
                trials=standings.count,
                failed=standings.failed,
                best_variances=standings.best_variances,
                seconds_left=seconds_left,
                best_shown=standing_texts(self.goals, best.metrics) if best else {},
            )
        )
