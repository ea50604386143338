"""The reasons to stop a search that its study file, or the caller, gives. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from search.sampling.stopping import State
from search.study.settings import SearchSpec


@dataclass(frozen=True)
class Stop:
    """Why a search stops.

    Attributes:
        reason: In a sentence.
        state: The model's judgement where it is the reason, else ``searching``.
    """

    reason: str
    state: State = "searching"


@dataclass(frozen=True)
class Progressed:
    """How far a search has come.

    Attributes:
        iteration: The last iteration that was begun.
        begun: Iterations that this driver began.
        trials: Trials that ended or run.
        seconds: Since this driver started.
        is_exhausted: Whether the last batch was not whole: no candidate is left.
    """

    iteration: int
    begun: int
    trials: int
    seconds: float
    is_exhausted: bool


@dataclass(frozen=True)
class Limits:
    """What a search may use.

    Attributes:
        search: The study file's limits.
        max_new_iterations: Iterations that one driver adds at most; None for no limit.
    """

    search: SearchSpec
    max_new_iterations: int | None = None

    def reached(self, now: Progressed) -> str | None:
        """Return which limit is reached, in words; None while there is room."""
        search = self.search
        if now.iteration >= search.max_iterations:
            return f"max_iterations ({search.max_iterations}) reached"
        return self.reached_by_polish(now)

    def reached_by_polish(self, now: Progressed) -> str | None:
        """Return which limit is reached that holds once the targets are met as well."""
        search = self.search
        if now.begun == self.max_new_iterations:
            return f"the iterations asked for ({self.max_new_iterations}) are done"
        if now.trials >= search.max_trials:
            return f"max_trials ({search.max_trials}) reached"
        if search.timeout is not None and now.seconds >= search.timeout:
            return f"timeout ({search.timeout:g} s) reached"
        if now.is_exhausted:
            return "every candidate that the constraints allow was evaluated"
        return None

    def seconds_left(self, mean_iteration: float, iteration: int, seconds: float) -> float:
        """Return how long the search may still take, when an iteration takes that long."""
        left = mean_iteration * max(0, self.search.max_iterations - iteration + 1)
        if self.search.timeout is not None:
            left = min(left, max(0.0, self.search.timeout - seconds))
        return left
