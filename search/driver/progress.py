"""What a running study tells the person who waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from search.scenario.outcome import Outcome


@dataclass(frozen=True)
class TrialNews:
    """A trial has ended.

    Attributes:
        iteration: Its iteration, from 0 (the current parameters).
        outcome: What came of it.
        variances: Relative distance of each target's metric; empty when it failed.
        shown: Where each goal's metric stands, for people.
        is_met: Whether all targets are met.
        is_best: Whether it is the best trial so far.
    """

    iteration: int
    outcome: Outcome
    variances: Mapping[str, float]
    is_met: bool
    is_best: bool
    shown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """Where a study stands.

    Attributes:
        iteration: The running iteration.
        max_iterations: The last one.
        done: Trials of this iteration that ended.
        size: Trials of this iteration.
        trials: Trials of the study that ended.
        failed: Those of them that failed.
        best_variances: Variance of each target at the best trial so far.
        seconds_left: Estimate until the last iteration ends; None while nothing is known.
        best_shown: Where each goal's metric stands there, for people.
    """

    iteration: int
    max_iterations: int
    done: int
    size: int
    trials: int
    failed: int
    best_variances: Mapping[str, float]
    seconds_left: float | None
    best_shown: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Progress(Protocol):
    """Receives a study's news; implementations show them somewhere."""

    def note(self, line: str) -> None:
        """Take a line about what is going on."""

    def trial(self, news: TrialNews) -> None:
        """Take the end of a trial."""

    def standing(self, standing: Standing) -> None:
        """Take where the study stands; called often."""


class SilentProgress:
    """Shows nothing."""

    def note(self, line: str) -> None:
        """Take a line about what is going on."""

    def trial(self, news: TrialNews) -> None:
        """Take the end of a trial."""

    def standing(self, standing: Standing) -> None:
        """Take where the study stands."""
