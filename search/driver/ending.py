"""Whether a search goes on, and how it ended."""

from __future__ import annotations

from dataclasses import replace

from search.driver.limits import Stop
from search.driver.results import SearchEnd
from search.driver.scouting import Scout
from search.driver.standings import Standings
from search.errors import StudyFailedError
from search.sampling.choice import Samplers, choose_sampler
from search.sampling.stopping import Assessment
from search.storage.study_store import StudyStore
from search.storage.trials import read_trials
from search.study import StudySpec

HOPELESS_TRIALS = 6
"""Failed trials in a row, with none complete, after which a study is given up."""
SPENT = "no plan is found that chance allows, in eight times the evaluations of one seed"


class EndJudge:
    """Judges one search by its trials.

    Args:
        spec: The study.
        store: The study in its storage.
        standings: The leaderboard.
        samplers: Model the metrics.
        scout: Knows what chance does; None where it does not count.
        batch_size: Candidates of one iteration.
    """

    def __init__(
        self,
        spec: StudySpec,
        store: StudyStore,
        standings: Standings,
        samplers: Samplers,
        scout: Scout | None,
        *,
        batch_size: int,
    ) -> None:
        self._spec = spec
        self._store = store
        self._standings = standings
        self._samplers = samplers
        self._scout = scout
        self._batch_size = batch_size

    def require_resolved_goals(self) -> None:
        """Refuse to search for goals that refer to an evaluation which failed.

        Raises:
            StudyFailedError: If the current parameters could not be evaluated.
        """
        for goal in self._standings.goals:
            if goal.change is not None and goal.value is None:
                raise StudyFailedError(
                    f"targets.{goal.metric}.change refers to the metric at the current "
                    f"parameters, but their evaluation failed: {self._last_failure()}"
                )

    def reason_to_stop(self, limit: str | None) -> Stop | None:
        """Return why the search should stop; None while it should go on.

        Args:
            limit: The limit that is reached, in words.

        Raises:
            StudyFailedError: If every trial fails.
        """
        search, standings = self._spec.search, self._standings
        if standings.best is not None and standings.is_converged:
            return Stop(f"trial {standings.best.number} meets every target", "converged")
        if standings.best is None and standings.failed >= HOPELESS_TRIALS:
            raise StudyFailedError(
                f"all {standings.failed} trials failed and none was complete, so the search cannot "
                f"go on; the last one said: {self._last_failure()}"
            )
        if limit is not None:
            return Stop(limit)
        if self._scout is not None and self._scout.is_spent(standings):
            return Stop(SPENT, "no_progress")
        if search.early_stop and choose_sampler(self._spec).name == "target":
            assessment = self._assess()
            # What a model takes for a hit may have failed under other seeds.
            is_doubted = assessment.state == "converged" and not standings.is_met
            if assessment.should_stop and not is_doubted:
                return Stop(assessment.reason, assessment.state)
        return None

    def end(self, stop: Stop, *, iterations: int, polished: int) -> SearchEnd:
        """Return how the search ended.

        Args:
            stop: Why.
            iterations: How many were begun.
            polished: Evaluations after the first hit.
        """
        standings = self._standings
        standings.finish()
        best, is_met = standings.best, standings.is_met
        if stop.state == "converged" and not is_met:
            stop = Stop(SPENT, "no_progress")
        elif best is not None and standings.is_converged:
            stop = replace(stop, reason=f"trial {best.number} meets every target")
        return SearchEnd(
            reason=stop.reason,
            state=stop.state,
            is_converged=is_met,
            best=best,
            current=standings.current,
            iterations=iterations,
            trials=standings.count,
            failed_trials=standings.failed,
            goals=standings.judging(best),
            complete=standings.complete,
            diagnosis=None if is_met or best is None else self._assess().diagnosis,
            alternatives=standings.alternatives,
            polished=polished,
            scouted=self._scout.evaluations if self._scout else 0,
        )

    def _assess(self) -> Assessment:
        """Return what the model of the metrics says about the search."""
        sampler = self._samplers.target(self._standings.goals)
        return sampler.assess(self._store.finished(), batch_size=self._batch_size)

    def _last_failure(self) -> str:
        failed = [t for t in read_trials(self._store.finished()) if not t.is_complete]
        return (failed[-1].failure.message if failed else None) or "nothing"
