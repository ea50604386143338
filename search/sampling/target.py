"""TargetSampler: an Optuna sampler that seeks all targets at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from search.errors import SpecError
from search.sampling.aims import Aims
from search.sampling.axes import Array, Axis, Box
from search.sampling.design import farthest, spread_points
from search.sampling.feasible import SpaceExhaustedError
from search.sampling.history import History, axes_of, metrics_of_trial, unit_of
from search.sampling.nearer import Nearer
from search.sampling.observed import Observed, key_of
from search.sampling.pool import Region
from search.sampling.proposal import Plan
from search.sampling.quality import ModelQuality, leave_one_out
from search.sampling.sensitivity import Sensitivity, sensitivities
from search.sampling.stopping import Assessment, assess
from search.study.preference import Preference
from search.study.targets import Goal, resolve_goals

MAX_ENUMERATED = 20_000
"""Spaces of at most this many candidates are gone through before they count as exhausted."""
RANDOM_ATTEMPTS = 2_000
INITIAL_LIMIT = 6
"""Evaluations, beside the current set, before which a batch explores half of its slots."""
EARLY_SLOTS = ("model", "design")
"""Who fills the slots of a batch, in turns, before so many are evaluated."""

Candidate = dict[str, Any]


class TargetSampler(BaseSampler):
    """Proposes candidates at which all targets are likely to be met.

    The first candidates are the current parameter set and a space-filling design; then each
    is chosen by a model of the metric vector. All it knows is in the study's storage: trials,
    their parameters and their metrics. A proposal depends on the seed, the trial's number and
    the trials before it, not on the order in which they ended.

    Args:
        goals: What is wanted. A ``change`` refers to the metrics at ``current``, or to the
            first complete trial.
        current: Today's value of each parameter; evaluated first. The middle of the ranges
            when left out.
        is_allowed: Whether a candidate may be proposed; all may when left out.
        margins: Each constraint's margin, at most 0 where it holds. The model's step then
            follows a constraint in place of being pushed back from it.
        seed: The same seed proposes the same candidates.
        metrics: The metrics of a complete trial; None leaves the trial out.
        distributions: The whole search space. Taken from earlier trials when left out.
    """

    def __init__(
        self,
        goals: Sequence[Goal],
        *,
        current: Mapping[str, Any] | None = None,
        is_allowed: Callable[[Mapping[str, Any]], bool] | None = None,
        margins: Callable[[Mapping[str, Any]], Sequence[float]] | None = None,
        seed: int = 0,
        metrics: Callable[[FrozenTrial], Mapping[str, float] | None] = metrics_of_trial,
        distributions: Mapping[str, BaseDistribution] | None = None,
    ) -> None:
        if not goals:
            raise ValueError("a TargetSampler must have at least one goal, but got none")
        self._goals = tuple(goals)
        self._current = dict(current) if current is not None else None
        self._is_allowed = is_allowed
        self._margins = margins
        self._seed = seed
        self._metrics = metrics
        self._distributions = dict(distributions) if distributions is not None else None
        self._plan: tuple[Any, Plan] | None = None

    # --- Optuna's interface -----------------------------------------------------

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the whole space: what every earlier trial had, or what was declared."""
        earlier = [
            other for other in study.get_trials(deepcopy=False) if other.number < trial.number
        ]
        return self._space_of(earlier) or {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Candidate:
        """Return the next candidate, one that no other trial has.

        Raises:
            SpaceExhaustedError: If there is none left.
            ValueError: If the study has several objectives.
        """
        _refuse_several_objectives(study)
        if not search_space:
            return {}
        region = Region(axes_of(search_space), self._is_allowed, self._margins)
        history = History(region.box, study.get_trials(deepcopy=False), trial.number, self._metrics)
        point = self._next(region, history, trial.number)
        return region.box.values(point)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return a value for a parameter whose range was not known beforehand.

        The first trial gets the current value, or the middle; later ones a random value.

        Raises:
            ValueError: If the study has several objectives.
        """
        _refuse_several_objectives(study)
        (axis,) = axes_of({param_name: param_distribution}).axes
        if trial.number == 0:
            known = (self._current or {}).get(param_name)
            if known is not None and _is_a_value(axis, known):
                return known
            return axis.value(0.0 if axis.choices else 0.5)
        digest = [self._seed, trial.number, *param_name.encode()]
        random = np.random.default_rng(digest)
        return axis.value(
            float(random.integers(len(axis.choices))) if axis.choices else float(random.random())
        )

    # --- what the trials tell ---------------------------------------------------

    def assess(self, trials: Sequence[FrozenTrial], *, batch_size: int = 1) -> Assessment:
        """Return whether to go on, and why the targets are met or not.

        Args:
            trials: Of the study, none of them running.
            batch_size: Candidates that are evaluated together.
        """
        space = self._space_of(trials)
        if space is None:
            return Assessment("searching", "nothing is known yet")
        region = Region(axes_of(space), self._is_allowed, self._margins)
        history = History(region.box, trials, -1, self._metrics)
        goals = self._resolved(history)
        observed = history.observed([goal.metric for goal in goals]) if goals else None
        if goals is None or observed is None or len(observed.points) < 2:
            return Assessment("searching", "too little is known yet")
        return assess(self._plan_for(region, goals, observed), goals, batch_size)

    def nearer(
        self,
        trials: Sequence[FrozenTrial],
        preference: Preference,
        *,
        count: int,
        is_for_others: bool = False,
    ) -> list[Candidate]:
        """Return candidates that are likely to meet every target and are preferred to those known.

        Args:
            trials: Of the study, none of them running; one meets every target.
            preference: What is wanted among candidates that meet every target.
            count: At most so many.
            is_for_others: Look for other ways to meet the targets, in place of better ones.

        Returns:
            None that any trial has; empty when no more is to be expected.
        """
        space = self._space_of(trials)
        if space is None:
            return []
        region = Region(axes_of(space), self._is_allowed, self._margins)
        history = History(region.box, trials, -1, self._metrics)
        goals = self._resolved(history)
        observed = history.observed([goal.metric for goal in goals]) if goals else None
        if goals is None or observed is None or len(observed.points) < 2:
            return []
        plan = self._plan_for(region, goals, observed)
        if plan.losses.min() > 0:
            return []
        seeker = Nearer(plan, goals, preference, self._start(region.box))
        find = seeker.others if is_for_others else seeker.better
        return [region.box.values(point) for point in find(history.taken, count)]

    def sensitivities(
        self, trials: Sequence[FrozenTrial], candidate: Mapping[str, Any]
    ) -> tuple[Sensitivity, ...]:
        """Return the change of each goal's metric per step of each parameter at a candidate.

        Empty while fewer than three trials are complete.
        """
        known = self._known_of(trials)
        if known is None or len(known[1].points) < 3:
            return ()
        box, observed, names = known
        at = box.snap(box.point(candidate)[None])[0]
        return sensitivities(box, observed.points, observed.metrics, names, at, self._seed)

    def quality(self, trials: Sequence[FrozenTrial]) -> tuple[ModelQuality, ...]:
        """Return how well each goal's metric is foretold; empty while fewer than 4 are known."""
        known = self._known_of(trials)
        if known is None:
            return ()
        box, observed, names = known
        return leave_one_out(box, observed.points, observed.metrics, names, self._seed)

    def _known_of(
        self, trials: Sequence[FrozenTrial]
    ) -> tuple[Box, Observed, tuple[str, ...]] | None:
        """Return the space, what was observed in it, and the goals' metrics; None before trials."""
        space = self._space_of(trials)
        if space is None:
            return None
        box = axes_of(space)
        names = tuple(goal.metric for goal in self._goals)
        return box, History(box, trials, -1, self._metrics).observed(names), names

    def _space_of(self, trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution] | None:
        if self._distributions is not None:
            return self._distributions
        spaces = [trial.distributions for trial in trials if trial.distributions]
        if not spaces:
            return None
        common = set.intersection(*(set(space) for space in spaces))
        return {
            name: distribution for name, distribution in spaces[-1].items() if name in common
        } or None

    # --- the choice -------------------------------------------------------------

    def _next(self, region: Region, history: History, number: int) -> Array:
        box = region.box
        start = self._start(box)
        is_due = self._current is not None or not history.taken
        if is_due and key_of(start) not in history.taken and region.allows(start):
            return start
        goals = self._resolved(history)
        if goals is not None:
            observed = history.observed([goal.metric for goal in goals])
            if len(observed.points) >= 2 and not self._explores(history, observed):
                plan = self._plan_for(region, goals, observed)
                point = plan.choose(history.pending, history.taken)
                if point is not None:
                    return point
        return self._designed(region, history, number)

    def _start(self, box: Box) -> Array:
        """Return the current parameter set; the middle where it is not known."""
        point = np.array([0.0 if axis.choices else 0.5 for axis in box.axes])
        for i, axis in enumerate(box.axes):
            value = (self._current or {}).get(axis.name)
            unit = None if value is None else unit_of(axis, value)
            point[i] = point[i] if unit is None else unit
        return np.asarray(box.snap(point[None])[0])

    def _explores(self, history: History, observed: Observed) -> bool:
        """Return whether this slot belongs to the design, not to the model."""
        known = len(observed.points)
        wanted = 1 + min(history.width, INITIAL_LIMIT)
        slot = len(history.pending)
        is_of_design = EARLY_SLOTS[slot % len(EARLY_SLOTS)] == "design"
        return known < wanted and is_of_design and known + slot < 2 * wanted

    def _plan_for(self, region: Region, goals: Sequence[Goal], observed: Observed) -> Plan:
        """Return the plan; the last one, as long as nothing was learned since."""
        aims = Aims.of(goals)
        state = (
            region.box,
            goals,
            observed.points.tobytes(),
            observed.metrics.tobytes(),
            observed.failed.tobytes(),
        )
        if self._plan is None or self._plan[0] != state:
            self._plan = (state, Plan(region, aims, observed, (self._seed,)))
        return self._plan[1]

    def _designed(self, region: Region, history: History, number: int) -> Array:
        """Return a point far from all others that is new and allowed."""
        box = region.box
        random = np.random.default_rng([self._seed, 0])
        points = spread_points(box, random)
        order = farthest(box, history.known, points)
        for point in points[order]:
            if key_of(point) not in history.taken and region.allows(point):
                return np.asarray(point)
        random = np.random.default_rng([self._seed, number])
        for point in box.snap(box.uniform(random, RANDOM_ATTEMPTS)):
            if key_of(point) not in history.taken and region.allows(point):
                return np.asarray(point)
        if box.combinations <= MAX_ENUMERATED:
            for point in _all_points(box):
                if key_of(point) not in history.taken and region.allows(point):
                    return np.asarray(point)
        raise SpaceExhaustedError("every candidate that is allowed was proposed already")

    def _resolved(self, history: History) -> tuple[Goal, ...] | None:
        """Return the goals in figures; None as long as what they refer to is not known."""
        if not any(goal.change is not None or goal.is_objective for goal in self._goals):
            return self._goals
        if all(goal.value is not None for goal in self._goals if _needs_reference(goal)):
            return self._goals
        reference = history.reference(key_of(self._start(history.box)))
        if reference is None:
            return None
        try:
            return resolve_goals(self._goals, reference)
        except (ValueError, SpecError):
            return None


def _refuse_several_objectives(study: Study) -> None:
    if len(study.directions) > 1:
        raise ValueError(
            "a TargetSampler needs a study of one objective, since its goals say what is wanted, "
            f"but got {len(study.directions)}; put them into the goals, or use NSGAIISampler"
        )


def _is_a_value(axis: Axis, value: Any) -> bool:
    """Return whether a parameter can have a value: inside its range, on its grid."""
    unit = unit_of(axis, value)
    if unit is None or not (axis.choices or 0.0 <= unit <= 1.0):
        return False
    return axis.step is None or bool(np.isclose(axis.value(unit), value))


def _needs_reference(goal: Goal) -> bool:
    return goal.change is not None or goal.is_objective


def _all_points(box: Box) -> Array:
    sizes = [int(axis.size) for axis in box.axes]
    grid = np.indices(sizes).reshape(len(sizes), -1).T.astype(float)
    for i, axis in enumerate(box.axes):
        if axis.choices is not None:
            continue
        if axis.is_log:
            grid[:, i] = [axis.unit(axis.low + k * (axis.step or 1)) for k in grid[:, i]]
        else:
            grid[:, i] /= max(sizes[i] - 1, 1)
    return box.snap(grid)
