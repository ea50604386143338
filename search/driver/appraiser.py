"""What is found out about a study at its end: why, how sure, and what moves what."""

from __future__ import annotations

import dataclasses
import math
import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.driver.batch import outcomes_of
from search.driver.effects import Effect, Interchangeable, interchangeable
from search.driver.engine import RECORDING
from search.driver.futures import Confirmation, Futures
from search.driver.progress import Progress
from search.driver.results import CompleteTrial, SearchEnd
from search.errors import SpecError
from search.sampling.choice import target_sampler
from search.sampling.diagnosis import BindingBound, Diagnosis
from search.sampling.quality import ModelQuality
from search.storage.evaluations import CACHE
from search.storage.study_store import StudyStore
from search.storage.trials import StoredTrial, read_trials
from search.study import StudySpec
from search.study.fingerprint import candidate_key
from search.study.ranking import pareto_front
from search.study.replication import over_replications
from search.study.space import Candidate, canonical, constraints_hold, proposed
from search.study.values import Scalar
from search.workers import WorkerPool

CHECK_SECONDS = 30.0
"""With ``sensitivity: auto``, steps are evaluated when that takes at most this long."""
MOST_BOUNDS = 3
"""Bounds that are evaluated where moving them would help: does the scenario allow it?"""
MOST_LETTERS = 160
"""Of why it does not, in the diagnosis."""
MIN_FOR_IMPORTANCE = 50
"""Complete trials below which importances would say nothing."""


@dataclass(frozen=True)
class Appraisal:
    """What was found out at the end of a study.

    Attributes:
        state: How the search stands: ``converged``, ``unreachable``, ``no_progress`` or
            ``searching``.
        diagnosis: Why targets are missed; None when all are met or too little is known.
        effects: What a step of each parameter does at the winner.
        importances: Share of the loss's variation that each parameter explains, 0 to 1,
            by Optuna's PED-ANOVA; empty with fewer than 50 complete trials.
        confirmation: The winner under fresh seeds; None when not asked for.
        front: With several objectives: trials that no other trial beats in all of them.
        quality: How well the model foretells each target's metric.
        interchangeable: Pairs of parameters that act alike on every target at the winner.
    """

    state: str
    diagnosis: Diagnosis | None = None
    effects: tuple[Effect, ...] = ()
    importances: Mapping[str, float] = dataclasses.field(default_factory=dict)
    confirmation: Confirmation | None = None
    front: tuple[int, ...] = ()
    quality: tuple[ModelQuality, ...] = ()
    interchangeable: tuple[Interchangeable, ...] = ()

    def document(self, units: Mapping[str, str | None]) -> dict[str, Any]:
        """Return the appraisal as JSON-safe values.

        Args:
            units: Unit of each parameter, for the diagnosis in words.
        """
        document: dict[str, Any] = {
            "state": self.state,
            "effects": [effect.document() for effect in self.effects],
            "model_quality": [
                dataclasses.asdict(error) | {"is_bad": error.is_bad} for error in self.quality
            ],
            "interchangeable": [dataclasses.asdict(pair) for pair in self.interchangeable],
            "importances": dict(self.importances),
            "confirmation": None,
            "front": list(self.front),
            "diagnosis": None,
        }
        if self.confirmation is not None:
            document["confirmation"] = dataclasses.asdict(self.confirmation)
        if self.diagnosis is not None:
            document["diagnosis"] = dataclasses.asdict(self.diagnosis)
            document["diagnosis"].pop("goals")
            document["diagnosis"]["text"] = self.diagnosis.text(units).splitlines()
        return document


class Appraiser:
    """Finds out about the end of a study; its pool is still open.

    Args:
        spec: The study.
        end: How the search ended.
        store: The study in its storage.
        pool: Evaluates candidates.
        progress: Takes news for a person.
    """

    def __init__(
        self,
        spec: StudySpec,
        end: SearchEnd,
        store: StudyStore,
        pool: WorkerPool,
        progress: Progress,
    ) -> None:
        self._spec = spec
        self._end = end
        self._store = store
        self._pool = pool
        self._progress = progress
        self._trials = [t for t in store.finished() if t.state == TrialState.COMPLETE]

    def appraise(self) -> Appraisal:
        """Return everything that can be said."""
        end = self._end
        if end.best is None:
            return Appraisal(end.state)
        effects = self._effects(end.best)
        return Appraisal(
            state=end.state,
            diagnosis=self._followable(end.best),
            effects=effects,
            quality=self._quality(),
            interchangeable=interchangeable(end.goals, effects, self._ranges()),
            importances=self._importances(),
            confirmation=self._confirmation(end.best),
            front=tuple(pareto_front(end.goals, {t.number: t.metrics for t in end.complete})),
        )

    def _ranges(self) -> dict[str, float]:
        return {
            name: float(parameter.high) - float(parameter.low)
            for name, parameter in self._spec.parameters.items()
            if parameter.low is not None and parameter.high is not None
        }

    # --- what moves what --------------------------------------------------------

    def _effects(self, best: CompleteTrial) -> tuple[Effect, ...]:
        asked = self._spec.search.sensitivity
        if asked == "none" or not self._spec.parameters:
            return ()
        sampler = target_sampler(self._spec, self._end.goals)
        modelled = [
            Effect(
                metric=sensitivity.metric,
                parameter=sensitivity.parameter,
                start=best.values[sensitivity.parameter],
                end=_plain(sensitivity.end),
                modelled=sensitivity.change,
                uncertainty=sensitivity.uncertainty,
            )
            for sensitivity in sampler.sensitivities(self._trials, best.values)
        ]
        moves = self._moves(best, modelled)
        if asked == "model" or not moves or (asked == "auto" and not self._is_quick(len(moves))):
            return tuple(modelled)
        self._progress.note(f"evaluating a step of each parameter at trial {best.number}")
        return tuple(self._checked(best, modelled, moves))

    def _followable(self, best: CompleteTrial) -> Diagnosis | None:
        """Return the diagnosis with the bounds that the scenario itself refuses to be moved."""
        diagnosis = self._end.diagnosis
        if diagnosis is None or not diagnosis.bounds:
            return diagnosis
        tried = diagnosis.bounds[:MOST_BOUNDS]
        if not self._is_quick(len(tried)):
            return diagnosis
        moved = [
            dict(best.values) | {move.parameter: _as_parameter(self._spec, move)} for move in tried
        ]
        told = outcomes_of(self._pool, moved, self._replications()[:1])
        bounds = tuple(
            bound
            if outcome.failure is None or outcome.failure.is_retryable
            else replace(bound, refused=_first_line(outcome.failure.message))
            for bound, (outcome,) in zip(tried, told, strict=True)
        )
        return replace(diagnosis, bounds=(*bounds, *diagnosis.bounds[MOST_BOUNDS:]))

    def _quality(self) -> tuple[ModelQuality, ...]:
        if self._spec.search.sensitivity == "none":
            return ()
        return target_sampler(self._spec, self._end.goals).quality(self._trials)

    def _moves(self, best: CompleteTrial, effects: Sequence[Effect]) -> list[Candidate]:
        """Return the neighbours to evaluate: a step on, and as far back where it is allowed."""
        moves: dict[str, Candidate] = {}
        for effect in effects:
            for end in (effect.end, _back(effect)):
                moved = self._moved(best, effect.parameter, end)
                if moved is not None:
                    moves[candidate_key(moved)] = moved
        return list(moves.values())

    def _moved(self, best: CompleteTrial, name: str, end: Scalar | None) -> Candidate | None:
        """Return the winner with one value changed; None when that is not allowed."""
        if end is None:
            return None
        try:
            moved = proposed(self._spec, dict(best.values) | {name: end})  # no noise of arithmetic
            values = canonical(self._spec, dict(best.values) | {name: moved[name]})
        except SpecError:
            return None
        return values if constraints_hold(self._spec, values) else None

    def _is_quick(self, moves: int) -> bool:
        """Return whether evaluating so many candidates is quick, by what others took here."""
        seconds = [
            trial.seconds
            for trial in read_trials(self._trials)
            if trial.worker not in (CACHE, RECORDING)
        ]
        typical = statistics.median(seconds) if seconds else 0.0
        return typical * moves / max(1, self._pool.size) <= CHECK_SECONDS

    def _checked(
        self, best: CompleteTrial, effects: Sequence[Effect], moves: Sequence[Candidate]
    ) -> list[Effect]:
        metrics: dict[str, Mapping[str, float]] = {}
        answered = outcomes_of(self._pool, moves, self._replications())
        for values, outcomes in zip(moves, answered, strict=True):
            if all(outcome.is_complete for outcome in outcomes):
                evaluated = over_replications([o.metrics for o in outcomes], self._statistic())
                metrics[candidate_key(values)] = evaluated
        return [
            replace(effect, evaluated=self._difference(best, effect, metrics)) for effect in effects
        ]

    def _difference(
        self, best: CompleteTrial, effect: Effect, metrics: Mapping[str, Mapping[str, float]]
    ) -> float | None:
        """Return the central difference, one-sided where one neighbour has no metrics."""

        def change(end: Scalar | None) -> float | None:
            moved = self._moved(best, effect.parameter, end)
            at = metrics.get(candidate_key(moved)) if moved is not None else None
            return None if at is None else at[effect.metric] - best.metrics[effect.metric]

        on, back = change(effect.end), change(_back(effect))
        if on is None:
            return None if back is None else -back
        return on if back is None else (on - back) / 2

    def _importances(self) -> dict[str, float]:
        if len(self._trials) < MIN_FOR_IMPORTANCE:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                importances = optuna.importance.get_param_importances(
                    self._store.study, evaluator=evaluator, target=_loss
                )
            except (ValueError, RuntimeError):
                # All trials equally good: there is nothing to explain.
                return {}
        return {name: float(share) for name, share in importances.items() if math.isfinite(share)}

    # --- how sure ---------------------------------------------------------------

    def _confirmation(self, best: CompleteTrial) -> Confirmation | None:
        futures = Futures(self._spec, self._store, self._pool, self._progress)
        return futures.confirm(best, self._end.goals)

    # --- evaluations ------------------------------------------------------------

    def _replications(self) -> Sequence[Scalar | None]:
        return self._spec.scenario.seeds

    def _statistic(self) -> str:
        replications = self._spec.scenario.replications
        return replications.statistic if replications else "mean"


def _as_parameter(spec: StudySpec, bound: BindingBound) -> Scalar:
    """Return where a bound would be moved to, as its parameter has its values."""
    is_integer = spec.parameters[bound.parameter].kind == "integer"
    return round(bound.relaxed) if is_integer else bound.relaxed


def _first_line(message: str) -> str:
    """Return the beginning of why an evaluation failed."""
    line = message.strip().partition("\n")[0]
    return line if len(line) <= MOST_LETTERS else f"{line[: MOST_LETTERS - 1]}…"


def _back(effect: Effect) -> Scalar | None:
    """Return the value one step the other way; None for a choice."""
    start, end = effect.start, effect.end
    if isinstance(start, str | bool) or isinstance(end, str | bool):
        return None
    return start - (end - start)


def _loss(trial: FrozenTrial) -> float:
    loss = StoredTrial(trial).loss
    return math.nan if loss is None else loss


def _plain(value: Any) -> Scalar:
    """Return a value of the model as a plain Python value."""
    if isinstance(value, bool | int | str):
        return value
    return float(value)
