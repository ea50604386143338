"""Checks across the sections of a study file; a section that is wrong itself is left out."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from search.study.apply import ApplySpec, unknown_scenario_vars
from search.study.constraints import Constraint, Expression
from search.study.goals import MetricSpec, TargetSpec
from search.study.metrics import ExpandedMetric, expand_each
from search.study.mistakes import Mistake, did_you_mean, given, listed
from search.study.parameters import ParameterSpec
from search.study.scenario import ScenarioSpec
from search.study.settings import PREFERENCES, ResourcesSpec, SearchSpec
from search.study.stepped_range import grid_count
from search.study.values import value_text

Sections = Mapping[str, Any]
MAX_GRID_CANDIDATES = 1_000_000
"""Points of a grid that fit in memory beside everything else: 8 MB."""


def check_sections(sections: Sections) -> list[Mistake]:
    """Return what is wrong between the sections that are right in themselves.

    Args:
        sections: Key of the study file to its validated value; wrong sections are missing.
    """
    mistakes: list[Mistake] = []
    for needs, check in _CHECKS:
        if all(need in sections for need in needs):
            mistakes.extend(check(*(sections[need] for need in needs)))
    return mistakes


def target_metrics(name: str, expanded: tuple[ExpandedMetric, ...]) -> tuple[ExpandedMetric, ...]:
    """Return the metrics that a target's name stands for: one, or all repetitions; or none."""
    return tuple(metric for metric in expanded if name in (metric.name, metric.key))


def _binds(parameters: dict[str, ParameterSpec]) -> Iterator[Mistake]:
    owners: dict[str, str] = {}
    for name, parameter in parameters.items():
        for bind in parameter.bind:
            if bind.place in owners:
                owner = owners[bind.place]
                text = (
                    f"a place takes one parameter, but {bind.place} is bound to `{owner}` already"
                )
                yield Mistake(("parameters", name, "bind"), text)
            owners.setdefault(bind.place, name)


def _overwritten_vars(
    scenario: ScenarioSpec, parameters: dict[str, ParameterSpec]
) -> Iterator[Mistake]:
    """A parameter's var that a step, a loop or the replications set would never take effect."""
    bound = {
        bind.var: name
        for name, parameter in parameters.items()
        for bind in parameter.bind
        if bind.var
    }
    for var in scenario.vars:
        if var in bound:
            text = (
                f"`{var}` is the var of parameter `{bound[var]}`, which gives it each value that "
                "is tried, so this one would never count; remove it here"
            )
            yield Mistake(("scenario", "vars", var), text)
        elif scenario.replications is not None and var == scenario.replications.var:
            text = (
                f"`{var}` is the var of scenario.replications, which gives it each seed, so this "
                "one would never count; change scenario.replications.values"
            )
            yield Mistake(("scenario", "vars", var), text)
    taken: dict[str, tuple[str | int, ...]] = {}
    for index, step in enumerate(scenario.steps):
        for number, (_, part) in enumerate(step.parts("")):
            inner = () if step.steps is None else ("steps", number)
            for var in part.dbt.vars if part.dbt is not None else ():
                taken[var] = ("scenario", "steps", index, *inner, "dbt", "vars", var)
        if step.loop is not None:
            taken[step.loop[0]] = ("scenario", "steps", index, "for_each", step.loop[0])
    if (seed := scenario.replication_var) is not None:
        if seed in taken:
            text = f"the replication variable must not be set by a step, but `{seed}` is"
            yield Mistake(("scenario", "replications", "var"), text)
        taken[seed] = ("scenario", "replications", "var")
    for var, path in taken.items():
        if var in bound:
            text = (
                f"`{var}` is the var of parameter `{bound[var]}`, whose value this would overwrite"
            )
            yield Mistake(path, text)


def _grid(parameters: dict[str, ParameterSpec], search: SearchSpec) -> Iterator[Mistake]:
    """A grid holds all its points in memory, so it is counted before it is made."""
    if search.sampler != "grid":
        return
    share = max(2, math.floor(search.max_trials ** (1 / len(parameters))))
    points = math.prod(_grid_levels(parameter, share) for parameter in parameters.values())
    if points > MAX_GRID_CANDIDATES:
        text = (
            f"grid would have {points:,} candidates for {len(parameters)} parameters, but may have "
            f"at most {MAX_GRID_CANDIDATES:,}; use another sampler (auto), or fewer parameters"
        )
        yield Mistake(("search", "sampler"), text)


def _grid_levels(parameter: ParameterSpec, share: int) -> int:
    if parameter.choices is not None:
        return len(parameter.choices)
    if parameter.grid_step is None:
        return share
    low, high = parameter.bounds
    return min(share, (grid_count(low, high, parameter.grid_step) or 1) + 1)


def _constraints(
    parameters: dict[str, ParameterSpec], constraints: tuple[str, ...]
) -> Iterator[Mistake]:
    current = {
        name: parameter.current for name, parameter in parameters.items() if parameter.is_numeric
    }
    for index, text in enumerate(constraints):
        try:
            constraint = Constraint.parse(text, list(current))
        except ValueError as error:
            yield Mistake(("constraints", index), str(error))
            continue
        if not constraint.holds(current):
            values = ", ".join(f"{name} {current[name]}" for name in constraint.names)
            message = f"must hold at the current parameters, but got {values} for {text}"
            yield Mistake(("constraints", index), message)


def _metrics(scenario: ScenarioSpec, metrics: dict[str, MetricSpec]) -> Iterator[Mistake]:
    for name, metric in metrics.items():
        try:
            expand_each({name: metric}, scenario.steps)
        except PydanticCustomError as error:
            for mistake in (error.context or {})["mistakes"]:
                yield Mistake(("metrics", name, *mistake.path), mistake.message)


def _targets(
    scenario: ScenarioSpec, metrics: dict[str, MetricSpec], targets: dict[str, TargetSpec]
) -> Iterator[Mistake]:
    try:
        expanded = expand_each(metrics, scenario.steps)
    except PydanticCustomError:
        return
    known = [metric.name for metric in expanded]
    owners: dict[str, str] = {}
    for name, target in targets.items():
        measured = target_metrics(name, expanded)
        if not measured:
            names = [*metrics, *known]
            text = f"must be a metric, of which there are {listed(dict.fromkeys(names))}"
            yield Mistake(("targets", name), f"{text}{did_you_mean(name, names)}")
            continue
        yield from _levels(name, target, measured)
        for metric in measured:
            if target.kind in _BY_REPETITION and target.level(_repetition(metric)) is None:
                continue
            owner = owners.setdefault(metric.name, name)
            if owner != name:
                text = f"a metric takes one target, but {metric.name} has `targets.{owner}` already"
                yield Mistake(("targets", name), text)


_BY_REPETITION = ("value", "change", "at_most", "at_least")


def _repetition(metric: ExpandedMetric) -> Any:
    return metric.loop[1] if metric.loop else None


def _levels(
    name: str, target: TargetSpec, measured: tuple[ExpandedMetric, ...]
) -> Iterator[Mistake]:
    """Check a mapping from repetitions to numbers against the metric's repetitions."""
    level = getattr(target, target.kind)
    if not isinstance(level, dict):
        return
    known = [value_text(metric.loop[1]) for metric in measured if metric.loop]
    path = ("targets", name, target.kind)
    if not known or name == measured[0].name:
        text = f"must be one number, since {name} is one number, but got {given(level)}"
        yield Mistake(path, text)
        return
    for key in level:
        if key not in known:
            text = f"must be a repetition of {name}, which are {listed(known)}, but got {key}"
            yield Mistake((*path, key), f"{text}{did_you_mean(key, known)}")


def _preference(
    scenario: ScenarioSpec,
    parameters: dict[str, ParameterSpec],
    metrics: dict[str, MetricSpec],
    search: SearchSpec,
) -> Iterator[Mistake]:
    if search.prefer in PREFERENCES:
        return
    with contextlib.suppress(PydanticCustomError):
        known = [name for name, parameter in parameters.items() if parameter.is_numeric]
        known += [metric.name for metric in expand_each(metrics, scenario.steps)]
        try:
            used = Expression.parse(search.prefer, known).names
            text = "" if used else "it refers to no parameter and no metric"
        except ValueError as error:
            text = str(error)
        if text:
            yield Mistake(
                ("search", "prefer"),
                f"must be {', '.join(PREFERENCES)} or an expression, but got {search.prefer!r}: "
                f"{text}{did_you_mean(search.prefer, PREFERENCES)}",
            )


def _probabilities(scenario: ScenarioSpec, targets: dict[str, TargetSpec]) -> Iterator[Mistake]:
    replications = scenario.replications
    is_whole = all(type(seed) is int for seed in scenario.seeds)
    for name, target in targets.items():
        if target.probability is None:
            continue
        path = ("targets", name, "probability")
        if not scenario.has_chance or not is_whole:
            text = (
                "needs seeds to draw fresh ones from: scenario.seed, or scenario.replications "
                "over a var that is called a seed, with whole numbers"
            )
            yield Mistake(path, text)
        elif replications and len(replications.values) > 1 and replications.statistic != "mean":
            text = (
                "goes with the mean of the replications, from which it keeps its own distance, but "
                f"got statistic {replications.statistic}"
            )
            yield Mistake(path, text)


def _confirm_seeds(scenario: ScenarioSpec, search: SearchSpec) -> Iterator[Mistake]:
    if not search.confirm_seeds:
        return
    path = ("search", "confirm_seeds")
    if scenario.seed is None and scenario.replications is None:
        text = (
            "needs scenario.seed, or scenario.replications, whose var takes the fresh seeds, but "
            f"got {search.confirm_seeds} without; add one or set 0"
        )
        yield Mistake(path, text)
    elif not all(type(value) is int for value in scenario.seeds):
        text = "needs whole numbers in scenario.replications.values, to draw fresh ones from"
        yield Mistake(path, text)


def _cluster(resources: ResourcesSpec) -> Iterator[Mistake]:
    workers = resources.workers
    for key in ("min_workers", "workers_per_node"):
        asked = getattr(resources, key)
        if asked is None or (workers != "auto" and asked <= workers):
            continue
        least = "a number" if workers == "auto" else f"at least {asked}"
        text = f"needs resources.workers to be {least}, but got {asked} beside workers {workers}"
        yield Mistake(("resources", key), text)


def _several_objectives(targets: dict[str, TargetSpec], search: SearchSpec) -> Iterator[Mistake]:
    objectives = [
        name for name, target in targets.items() if target.kind in ("minimize", "maximize")
    ]
    if len(objectives) > 1 and search.sampler in ("target", "cmaes"):
        text = (
            f"must be auto, nsga2, tpe, random or grid with {len(objectives)} metrics to minimise "
            f"or maximise ({listed(objectives)}), but got {search.sampler}"
        )
        yield Mistake(("search", "sampler"), text)


def _apply(
    scenario: ScenarioSpec, parameters: dict[str, ParameterSpec], apply: ApplySpec
) -> Iterator[Mistake]:
    for column, name in unknown_scenario_vars(apply, scenario.vars):
        text = (
            f"must be a var of scenario.vars with a single value "
            f"({listed(scenario.vars) or 'none are there'}), but got {name}"
        )
        yield Mistake(("apply", "row", column), f"{text}{did_you_mean(name, scenario.vars)}")
    bound = {bind.var for parameter in parameters.values() for bind in parameter.bind if bind.var}
    for index, var in enumerate(apply.project_vars):
        if var not in bound:
            text = f"must be the var of a parameter ({listed(sorted(bound))}), but got {var}"
            yield Mistake(("apply", "project_vars", index), f"{text}{did_you_mean(var, bound)}")


_CHECKS: tuple[tuple[tuple[str, ...], Callable[..., Iterator[Mistake]]], ...] = (
    (("parameters",), _binds),
    (("resources",), _cluster),
    (("scenario", "parameters"), _overwritten_vars),
    (("parameters", "constraints"), _constraints),
    (("scenario", "metrics"), _metrics),
    (("scenario", "metrics", "targets"), _targets),
    (("scenario", "parameters", "apply"), _apply),
    (("parameters", "search"), _grid),
    (("scenario", "search"), _confirm_seeds),
    (("scenario", "targets"), _probabilities),
    (("scenario", "parameters", "metrics", "search"), _preference),
    (("targets", "search"), _several_objectives),
)
