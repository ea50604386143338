"""GoalSampler: models every metric and proposes candidates at which all targets meet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search.sampling.goal_model import Array, GoalModel
from search.targets import Goal

Candidate = dict[str, Any]
Metrics = Callable[[FrozenTrial], Mapping[str, float]]

POINTS = 600
"""Random points that a proposal starts from."""
STARTS = 4
"""Best of them that are improved."""
ROUNDS = 12
"""Gauss-Newton steps of one improvement."""
DEFAULT_SCALE = 0.01
"""Tolerance of a bound that has none, as a fraction of the bound."""
OBJECTIVE_WEIGHT = 1e-3
"""Weight of a metric to minimise or maximise beside targets in units of tolerance."""


class GoalSampler(BaseSampler):
    """Proposes candidates for targets on several metrics at once.

    A scalar loss hides what a trial tells: every evaluation yields every metric. This
    sampler fits a model to each metric. The first proposal of a batch solves the models for
    all targets; each further one solves them with the predictions shifted within their
    uncertainty, so that a batch surrounds the place where the targets should meet. Pending
    trials count as if they had come out as predicted.

    It keeps no state but the storage: a proposal follows from the seed, the trial's number
    and the finished trials.

    Args:
        goals: The targets.
        metrics: Gives the metrics of a finished trial.
        is_allowed: Whether a candidate satisfies the constraints.
        seed: For the random points.
    """

    def __init__(
        self,
        goals: Sequence[Goal],
        *,
        metrics: Metrics,
        is_allowed: Callable[[Candidate], bool] | None = None,
        seed: int = 0,
    ) -> None:
        self._goals = tuple(goals)
        self._metrics = metrics
        self._is_allowed = is_allowed or (lambda candidate: True)
        self._seed = seed
        self._attempts: dict[int, int] = {}
        self._random = RandomSampler(seed=seed)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters that every trial so far has."""
        return dict(intersection_search_space(study.get_trials(deepcopy=False)))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Candidate:
        """Return the next candidate; asked again for the same trial, another one."""
        if not search_space:
            return {}
        attempt = self._attempts.get(trial.number, 0)
        self._attempts[trial.number] = attempt + 1
        random = np.random.default_rng([self._seed, trial.number, attempt])
        trials = [one for one in study.get_trials(deepcopy=False) if one.number != trial.number]
        done = [one for one in trials if one.state == TrialState.COMPLETE]
        pending = [one for one in trials if one.state == TrialState.RUNNING]
        cube = _Cube(search_space)
        points = np.array([cube.to_unit(one.params) for one in done if _has(one, search_space)])
        needed = cube.size + 1
        slot = len(pending) + attempt
        if len(points) == 0 or (len(points) < needed and slot + len(points) < needed):
            return cube.from_unit(_spread(random, cube, len(points) + slot))
        residuals = np.array(
            [self._residuals(self._metrics(one)) for one in done if _has(one, search_space)]
        )
        waiting = np.array([cube.to_unit(one.params) for one in pending if _has(one, search_space)])
        problem = _Problem(self._goals, points, residuals, waiting, cube)
        return self._solve(problem, cube, random, slot)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw at random: only before there is anything to learn from."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _residuals(self, metrics: Mapping[str, float]) -> list[float]:
        """Return the distance of each metric from its target, in units of tolerance."""
        return [residual(goal, metrics[goal.metric]) for goal in self._goals]

    def _solve(
        self, problem: _Problem, cube: _Cube, random: np.random.Generator, slot: int
    ) -> Candidate:
        shift = np.zeros(len(self._goals))
        if slot > 0:
            # Later slots take the model's uncertainty seriously, each in its own direction.
            shift = random.normal(size=len(self._goals)) * min(1.0, 0.35 + 0.15 * slot)
        starts = cube.random_points(random, POINTS)
        near = problem.best_point + random.normal(size=starts.shape) * 0.1
        starts = cube.snapped(np.vstack([problem.best_point[None], starts, np.clip(near, 0, 1)]))
        order = np.argsort(problem.loss(starts, shift), kind="stable")
        best: tuple[float, Array] | None = None
        for start in starts[order[:STARTS]]:
            point = problem.improved(start, shift)
            for candidate in cube.neighbours(point):
                if self._is_allowed(cube.from_unit(candidate)):
                    value = float(problem.loss(candidate[None], shift)[0])
                    if not problem.is_known(candidate) and (best is None or value < best[0]):
                        best = value, candidate
        if best is None:
            allowed = [p for p in starts[order] if self._is_allowed(cube.from_unit(p))]
            fresh = [p for p in allowed if not problem.is_known(p)]
            return cube.from_unit((fresh or allowed or [starts[order[0]]])[0])
        return cube.from_unit(best[1])


def residual(goal: Goal, value: float) -> float:
    """Return how far a metric is from its target, in units of tolerance, with sign.

    For a bound it is the distance beyond the bound (negative inside); for a metric to
    minimise or maximise the value itself in units of one per cent.
    """
    if goal.kind == "equal":
        assert goal.value is not None
        return (value - goal.value) / _tolerance(goal, goal.value)
    if goal.kind == "at_most":
        assert goal.high is not None
        return (value - goal.high) / _tolerance(goal, goal.high)
    if goal.kind == "at_least":
        assert goal.low is not None
        return (goal.low - value) / _tolerance(goal, goal.low)
    if goal.kind == "between":
        assert goal.low is not None and goal.high is not None
        middle, half = (goal.low + goal.high) / 2, (goal.high - goal.low) / 2
        return (value - middle) / (half or _tolerance(goal, middle))
    reference = goal.value if goal.value else value
    sign = 1.0 if goal.kind == "minimize" else -1.0
    return sign * (value - reference) / (DEFAULT_SCALE * abs(reference) or 1.0)


def _tolerance(goal: Goal, anchor: float) -> float:
    tolerance = goal.tolerance or DEFAULT_SCALE
    if goal.is_relative_tolerance or goal.tolerance == 0:
        return tolerance * abs(anchor) or tolerance
    return tolerance


def _has(trial: FrozenTrial, space: Mapping[str, BaseDistribution]) -> bool:
    return space.keys() <= trial.params.keys()


def _spread(random: np.random.Generator, cube: _Cube, index: int) -> Array:
    """Return a point of the first design: one strong move in each direction, in turn."""
    point = 0.5 + random.uniform(-0.12, 0.12, cube.width)
    axis = index % cube.width
    point[axis] = 0.15 if (index // cube.width + index) % 2 else 0.85
    snapped: Array = cube.snapped(np.clip(point, 0, 1)[None])[0]
    return snapped


class _Problem:
    """The models of one moment, and the loss that they predict."""

    def __init__(
        self, goals: Sequence[Goal], points: Array, residuals: Array, waiting: Array, cube: _Cube
    ) -> None:
        self._goals = goals
        self._cube = cube
        self._models = [GoalModel.fit(points, column) for column in residuals.T]
        self._weights = np.array([goal.weight for goal in goals])
        self._is_objective = np.array([goal.is_objective for goal in goals])
        self._is_upper = np.array([goal.kind in ("at_most", "at_least") for goal in goals])
        losses = self._of(residuals)
        self.best_point = points[int(np.argmin(losses))]
        self._known = np.vstack([points, waiting]) if len(waiting) else points
        if len(waiting):
            believed = np.array([model.predict(waiting)[0] for model in self._models]).T
            both = np.vstack([residuals, believed])
            self._models = [GoalModel.fit(self._known, column) for column in both.T]

    def is_known(self, point: Array) -> bool:
        """Whether a trial has, or will have, this point."""
        return bool((np.abs(self._known - point).max(1) < 1e-9).any())

    def loss(self, points: Array, shift: Array) -> Array:
        """Return the loss that the shifted models predict."""
        means, deviations = zip(*(model.predict(points) for model in self._models), strict=True)
        return self._of((np.array(means) + shift[:, None] * np.array(deviations)).T)

    def _of(self, residuals: Array) -> Array:
        inside = np.where(self._is_upper, np.maximum(residuals + 0.2, 0.0), residuals)
        squares = np.where(self._is_objective, 0.0, np.minimum(inside**2, 1e8))
        objective = np.where(self._is_objective, residuals, 0.0).sum(1)
        total: Array = squares @ self._weights + OBJECTIVE_WEIGHT * objective
        return total

    def improved(self, start: Array, shift: Array) -> Array:
        """Return the point after bounded, damped Gauss-Newton steps on the models' means."""
        point, value = start.copy(), float(self.loss(start[None], shift)[0])
        damping = 1e-2
        for _ in range(ROUNDS):
            jacobian, current = self._linearised(point, shift)
            gradient = jacobian.T @ (self._weights * current)
            curvature = jacobian.T @ (self._weights[:, None] * jacobian)
            scale = np.trace(curvature) / len(point) or 1.0
            step = np.linalg.solve(curvature + damping * scale * np.eye(len(point)), -gradient)
            moved = np.clip(point + self._cube.free * step, 0.0, 1.0)
            new = float(self.loss(moved[None], shift)[0])
            if new < value:
                point, value, damping = moved, new, damping * 0.3
            else:
                damping *= 8
            if damping > 1e4:
                break
        return point

    def _linearised(self, point: Array, shift: Array) -> tuple[Array, Array]:
        """Return Jacobian and value of the residuals that count at a point."""
        width = 1e-4
        around = np.vstack([point[None], point + width * np.eye(len(point))])
        means, deviations = zip(*(model.predict(around) for model in self._models), strict=True)
        values = np.array(means) + shift[:, None] * np.array(deviations)
        current = values[:, 0]
        jacobian = (values[:, 1:] - current[:, None]) / width
        active = ~self._is_objective & (~self._is_upper | (current > -0.2))
        offset = np.where(self._is_upper, 0.2, 0.0)
        return jacobian * active[:, None], (current + offset) * active


class _Cube:
    """A search space as a unit cube: numbers on their own axis, choices one axis each."""

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self._space = dict(space)
        self._columns: dict[str, slice] = {}
        self.width = 0
        for name, distribution in self._space.items():
            count = (
                len(distribution.choices)
                if isinstance(distribution, CategoricalDistribution)
                else 1
            )
            self._columns[name] = slice(self.width, self.width + count)
            self.width += count
        self.size = len(self._space)
        self.free = np.ones(self.width)
        for name, distribution in self._space.items():
            if isinstance(distribution, CategoricalDistribution):
                self.free[self._columns[name]] = 0.0

    def to_unit(self, params: Mapping[str, Any]) -> Array:
        """Return a candidate's point."""
        point = np.zeros(self.width)
        for name, distribution in self._space.items():
            if isinstance(distribution, CategoricalDistribution):
                index = distribution.to_internal_repr(params[name])
                point[self._columns[name].start + int(index)] = 1.0
            else:
                point[self._columns[name]] = _forward(distribution, float(params[name]))
        return point

    def from_unit(self, point: Array) -> Candidate:
        """Return the candidate nearest to a point."""
        candidate: Candidate = {}
        for name, distribution in self._space.items():
            part = point[self._columns[name]]
            if isinstance(distribution, CategoricalDistribution):
                candidate[name] = distribution.choices[int(np.argmax(part))]
            else:
                candidate[name] = _backward(distribution, float(part[0]))
        return candidate

    def random_points(self, random: np.random.Generator, count: int) -> Array:
        """Return points spread evenly over the cube."""
        points: Array = random.random((count, self.width))
        return points

    def snapped(self, points: Array) -> Array:
        """Return the points of the nearest candidates."""
        return np.array([self.to_unit(self.from_unit(point)) for point in points])

    def neighbours(self, point: Array) -> Array:
        """Return the nearest candidate's point, and those one grid step away on each axis."""
        centre = self.snapped(point[None])[0]
        found = [centre]
        for name, distribution in self._space.items():
            step = _unit_step(distribution)
            if step is None:
                continue
            axis = self._columns[name].start
            for sign in (-1.0, 1.0):
                moved = centre.copy()
                moved[axis] = min(max(moved[axis] + sign * step, 0.0), 1.0)
                found.append(moved)
        return self.snapped(np.array(found))


def _bounds(distribution: Any) -> tuple[float, float]:
    low, high = float(distribution.low), float(distribution.high)
    return (math.log(low), math.log(high)) if distribution.log else (low, high)


def _forward(distribution: Any, value: float) -> float:
    low, high = _bounds(distribution)
    return ((math.log(value) if distribution.log else value) - low) / ((high - low) or 1.0)


def _backward(distribution: Any, position: float) -> float | int:
    low, high = _bounds(distribution)
    value = low + min(max(position, 0.0), 1.0) * (high - low)
    value = math.exp(value) if distribution.log else value
    if isinstance(distribution, IntDistribution):
        steps = round((value - distribution.low) / distribution.step)
        return int(min(distribution.low + steps * distribution.step, distribution.high))
    assert isinstance(distribution, FloatDistribution)
    if distribution.step is not None:
        steps = round((value - distribution.low) / distribution.step)
        value = distribution.low + steps * distribution.step
    return float(min(max(value, distribution.low), distribution.high))


def _unit_step(distribution: Any) -> float | None:
    if isinstance(distribution, CategoricalDistribution) or distribution.step is None:
        return None
    if distribution.log or distribution.high == distribution.low:
        return None
    return float(distribution.step / (distribution.high - distribution.low))
