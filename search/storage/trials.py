"""A trial as the storage has it: the one reader of what ``attributes`` writes.

Every version of the format is read here. Optuna's trial is what samplers and its dashboard need;
everything else asks this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

from search.storage import attributes
from search.storage.attributes import Proposal
from search.study.metrics import METRIC_PREFIX
from search.study.values import Scalar

STATES = {
    "RUNNING": "running",
    "WAITING": "waiting",
    "COMPLETE": "complete",
    "FAIL": "failed",
    "PRUNED": "failed",
}
"""Optuna's states by the words of the trail."""

_OWN = frozenset(
    {
        attributes.RUN_ID,
        attributes.CANDIDATE,
        attributes.ITERATION,
        attributes.LINEAGE,
        attributes.REPLICATIONS,
        attributes.DISPATCHED_AT,
        attributes.OUTCOME,
        attributes.ALL_TARGETS_MET,
        attributes.LOSS,
    }
)
_PREFIXES = (METRIC_PREFIX, attributes.VARIANCE_PREFIX)


class NamedState(Protocol):
    """A trial's state: Optuna's, or one of the same name."""

    @property
    def name(self) -> str:
        """Optuna's name of it."""


class Trial(Protocol):
    """What is read of a trial, whoever read it from the storage: Optuna or ``reading``."""

    @property
    def number(self) -> int:
        """Its number in the study."""

    @property
    def state(self) -> NamedState:
        """How far it is."""

    @property
    def values(self) -> Sequence[float] | None:
        """Its objective values."""

    @property
    def datetime_start(self) -> datetime | None:
        """When Optuna began it, local time."""

    @property
    def datetime_complete(self) -> datetime | None:
        """When Optuna ended it, local time."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Values of its parameters."""

    @property
    def distributions(self) -> Mapping[str, Any]:
        """What they could be."""

    @property
    def user_attrs(self) -> Mapping[str, Any]:
        """What was stored with it."""


@dataclass(frozen=True)
class StoredFailure:
    """Why a trial has no metrics; every field is None when it has not failed.

    Attributes:
        stage: Where it failed: ``step``, ``metric``, ``memory``, ``driver`` ...
        message: For a person.
        step: The step.
        model: dbt's name of the model.
    """

    stage: str | None = None
    message: str | None = None
    step: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Range:
    """What a trial's parameter could be: numbers from low to high, or choices."""

    low: float | None
    high: float | None
    step: float | None
    choices: Sequence[Any] | None


class StoredTrial:
    """One trial of a study, by what was stored with it.

    Args:
        trial: As Optuna has it.

    Attributes:
        frozen: The same.
    """

    def __init__(self, trial: Trial) -> None:
        self.frozen = trial
        self._stored: Mapping[str, Any] = trial.user_attrs

    @property
    def number(self) -> int:
        """Its number in the study."""
        return self.frozen.number

    @property
    def state(self) -> str:
        """``running``, ``waiting``, ``complete`` or ``failed``."""
        return STATES[self.frozen.state.name]

    @property
    def is_complete(self) -> bool:
        """Whether it yielded its metrics."""
        return self.state == "complete"

    @property
    def is_finished(self) -> bool:
        """Whether it ended, complete or failed."""
        return self.state in ("complete", "failed")

    # --- before it was dispatched -------------------------------------------------

    @property
    def is_ours(self) -> bool:
        """Whether it carries what its evaluation needs; another program's trial does not."""
        return attributes.CANDIDATE in self._stored

    @property
    def candidate(self) -> dict[str, Any]:
        """Parameter values as they were dispatched."""
        return dict(self._stored.get(attributes.CANDIDATE, self.frozen.params))

    @property
    def iteration(self) -> int | None:
        """Its iteration, 0 for the current parameters; None when it is not ours."""
        return self._stored.get(attributes.ITERATION)

    @property
    def is_current(self) -> bool:
        """Whether it stands for the current parameters."""
        return self.iteration == 0

    @property
    def lineage(self) -> str | None:
        """Where its candidate comes from, in words."""
        return self._stored.get(attributes.LINEAGE)

    @property
    def parent(self) -> int | None:
        """The trial that its lineage refers to; only earlier versions wrote such lineages."""
        match = re.search(r" of trial (\d+)$", self.lineage or "")
        return int(match.group(1)) if match else None

    @property
    def replications(self) -> list[Scalar] | None:
        """Values of the replication variable that it is evaluated with."""
        return self._stored.get(attributes.REPLICATIONS)

    @property
    def run_id(self) -> str | None:
        """The run that dispatched it."""
        return self._stored.get(attributes.RUN_ID)

    @property
    def deaths(self) -> int:
        """How many drivers in a row died while they evaluated it."""
        return int(self._stored.get(attributes.DEATHS, 0))

    @property
    def proposal(self) -> Proposal:
        """The proposal that it was stored for.

        Raises:
            KeyError: If it is not ours.
        """
        return Proposal(
            values=self._stored[attributes.CANDIDATE],
            iteration=self._stored[attributes.ITERATION],
            lineage=self._stored[attributes.LINEAGE],
            replications=tuple(self._stored[attributes.REPLICATIONS]),
        )

    @property
    def dispatched_at(self) -> str | datetime | None:
        """When it was dispatched; Optuna's own start where that was not stored."""
        return self._stored.get(attributes.DISPATCHED_AT) or _local(self.frozen.datetime_start)

    def range_of(self, parameter: str) -> Range:
        """Return what one of its parameters could be."""
        known = self.frozen.distributions.get(parameter)
        choices = getattr(known, "choices", None)
        return Range(
            low=getattr(known, "low", None),
            high=getattr(known, "high", None),
            step=getattr(known, "step", None),
            choices=None if choices is None else list(choices),
        )

    # --- after it ended ------------------------------------------------------------

    @cached_property
    def metrics(self) -> dict[str, float]:
        """What came out, over the replications; empty when it failed or runs."""
        return self._prefixed(METRIC_PREFIX)

    @cached_property
    def variances(self) -> dict[str, float]:
        """Relative distance of each target's metric, as it was stored."""
        return self._prefixed(attributes.VARIANCE_PREFIX)

    @property
    def loss(self) -> float | None:
        """Its loss, None while it is not complete; kept apart from several objectives."""
        if not self.is_complete:
            return None
        loss = self._stored.get(attributes.LOSS)
        return float((self.frozen.values or ())[0] if loss is None else loss)

    @property
    def objective_values(self) -> tuple[float, ...]:
        """The values for Optuna: one, or one for each objective; empty when it has none."""
        return tuple(self.frozen.values or ()) if self.is_complete else ()

    @property
    def is_all_targets_met(self) -> bool | None:
        """Whether every target was met by the targets that it was judged with."""
        return self._stored.get(attributes.ALL_TARGETS_MET)

    @property
    def outcome(self) -> Mapping[str, Any]:
        """How its evaluations went, as ``attributes.outcome_document`` has it; empty before."""
        return self._stored.get(attributes.OUTCOME) or {}

    @property
    def failure(self) -> StoredFailure:
        """Why it has no metrics."""
        known = self.outcome.get("failure") or {}
        return StoredFailure(*(known.get(name) for name in ("stage", "message", "step", "model")))

    @property
    def seconds(self) -> float:
        """Wall time of its evaluations; 0 where it is not known."""
        return float(self.outcome.get("seconds") or 0.0)

    @property
    def worker(self) -> str | None:
        """Who evaluated it last."""
        return self.outcome.get("worker")

    @property
    def evaluations(self) -> list[tuple[Scalar | None, Mapping[str, float]]]:
        """Value of the replication variable and metrics of each evaluation that succeeded."""
        return [
            (evaluation["replication"], evaluation["metrics"])
            for evaluation in self.outcome.get("evaluations", [])
            if evaluation["failure"] is None
        ]

    @property
    def finished_at(self) -> str | datetime | None:
        """When its last evaluation ended; Optuna's own end where that was not stored."""
        return self.outcome.get("finished_at") or _local(self.frozen.datetime_complete)

    @property
    def details(self) -> dict[str, Any]:
        """Everything else that was stored with it."""
        return {
            name: value
            for name, value in self._stored.items()
            if name not in _OWN and not name.startswith(_PREFIXES)
        }

    def _prefixed(self, prefix: str) -> dict[str, float]:
        return {
            name.removeprefix(prefix): value
            for name, value in self._stored.items()
            if name.startswith(prefix)
        }


def read_trials(trials: Iterable[Trial]) -> list[StoredTrial]:
    """Return trials by what was stored with them."""
    return [StoredTrial(trial) for trial in trials]


def _local(moment: datetime | None) -> datetime | None:
    """Return Optuna's naive local time with its zone."""
    return None if moment is None else moment.astimezone()
