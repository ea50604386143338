"""Percentages: ``3%`` and ``3 %`` are fractions, wherever a fraction is meant. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from search.study.figures import number_text, with_unit
from search.study.values import as_mapping

if TYPE_CHECKING:
    from search.study.models import StudySpec
    from search.study.targets import Goal

FRACTION = "fraction"
"""The unit of what is shown in percent."""

_PERCENT = re.compile(r"\s*([+-]?(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15}))\s*%\s*")
_OF_PARAMETERS = ("low", "high", "step", "current", "choices")
_OF_TARGETS = ("value", "at_most", "at_least", "between", "tolerance_abs")


def fraction_of(text: str) -> float | None:
    """Return what a percentage stands for; None when the text is none.

    Example:
        >>> fraction_of("3 %"), fraction_of("0.05%"), fraction_of("three %")
        (0.03, 0.0005, None)
    """
    match = _PERCENT.fullmatch(text)
    return None if match is None else float(Decimal(match[1]) / 100)


def read_percentages(document: dict[str, Any]) -> None:
    """Replace every percentage of a study by its fraction, where a fraction is meant.

    Those are tolerances, changes, probabilities, and the numbers of parameters and targets whose
    unit is ``fraction``. Elsewhere a percentage stays a text, which the study file's rules refuse.

    Args:
        document: The study file as plain values; changed in place.
    """
    parameters, metrics = (
        as_mapping(document.get("parameters")),
        as_mapping(document.get("metrics")),
    )
    for parameter in parameters.values():
        if _unit(parameter) == FRACTION:
            _read(parameter, _OF_PARAMETERS)
    for name, target in as_mapping(document.get("targets")).items():
        metric = metrics.get(name, metrics.get(str(name).partition("@")[0]))
        keys = _OF_TARGETS if _unit(metric) == FRACTION else ()
        _read(target, ("tolerance", "change", "probability", *keys))
    _read(document.get("search"), ("tolerance",))


def too_wide(tolerance: float) -> str | None:
    """Return what is wrong with a relative tolerance above 1; None when nothing is.

    Example:
        >>> too_wide(3)
        'must be a fraction of the target, at most 1 (100 %), but got 3; for 3 % write 0.03 or 3%'
    """
    if tolerance <= 1:
        return None
    text = f"must be a fraction of the target, at most 1 (100 %), but got {tolerance:g}"
    meant = Decimal(repr(tolerance)) / 100
    return f"{text}; for {tolerance:g} % write {meant.normalize():f} or {tolerance:g}%"


def unlikely_fractions(spec: StudySpec) -> list[str]:
    """Return a warning for each fraction of a study that is above 1, and so more than 100 %."""
    unlikely = []
    for place, value, why in _fractions(spec):
        if abs(value) > 1:
            meant = Decimal(repr(value)) / 100
            unlikely.append(
                f"{place} is {with_unit(value, FRACTION)}, because {why}; "
                f"for {value:g} % write {meant.normalize():f} or {value:g}%"
            )
    return unlikely


def unlikely_metrics(metrics: Mapping[str, float], units: Mapping[str, str | None]) -> list[str]:
    """Return a warning for each metric that should be a fraction and is above 1."""
    return [
        f"metric {name} is {with_unit(value, FRACTION)} today, because its unit is a fraction; "
        "where its SQL gives percent, divide by 100 or name another unit"
        for name, value in metrics.items()
        if units.get(name) == FRACTION and abs(value) > 1
    ]


def whole_number_notes(goals: tuple[Goal, ...], seen: Mapping[str, set[float]]) -> list[str]:
    """Return which whole numbers are nearest, for targets between two that a metric may take.

    Args:
        goals: The targets, relative ones resolved.
        seen: Metric to every value that it has had.

    Returns:
        A sentence for each target with a value that is no whole number, whose metric has had
        three different values, whole numbers all, and whose tolerance reaches none.
    """
    notes = []
    for goal in goals:
        values = seen.get(goal.metric, set())
        wanted = goal.value
        if goal.kind != "equal" or wanted is None or len(values) < 3:
            continue
        if wanted == int(wanted) or any(value != int(value) for value in values):
            continue
        below = float(wanted // 1)
        allowed = goal.tolerance * (abs(wanted) if goal.is_relative_tolerance else 1.0)
        nearest = min(wanted - below, below + 1 - wanted)
        if nearest > allowed:
            notes.append(
                f"{goal.metric} takes whole numbers only, and {wanted:g} lies between two: the "
                f"nearest are {number_text(below)} and {number_text(below + 1)}; ask for one of "
                f"them, or give tolerance_abs: {_enough(nearest)}"
            )
    return notes


def _enough(distance: float) -> str:
    return f"{float(f'{distance * 1.01:.3g}'):g}"


def _fractions(spec: StudySpec) -> Iterator[tuple[str, float, str]]:
    """Yield the fractions of a study: the key, the number, and why it is one."""
    is_unit, is_change = "its unit is a fraction", "a change is a fraction of today's value"
    for name, parameter in spec.parameters.items():
        if parameter.unit == FRACTION:
            for key in ("low", "high", "current"):
                value = getattr(parameter, key)
                if isinstance(value, int | float) and not isinstance(value, bool):
                    yield f"parameters.{name}.{key}", float(value), is_unit
    for name, target in spec.targets.items():
        for value in _numbers(target.change):
            yield f"targets.{name}.change", value, is_change
        metric = spec.metrics.get(name, spec.metrics.get(name.partition("@")[0]))
        if metric is None or metric.unit != FRACTION:
            continue
        for key in ("value", "at_most", "at_least", "between"):
            for value in _numbers(getattr(target, key)):
                yield f"targets.{name}.{key}", value, is_unit


def _numbers(level: Any) -> list[float]:
    """Return the numbers of a target's level: one, a pair, or one for each repetition."""
    numbers = level.values() if isinstance(level, dict) else level
    listed = numbers if isinstance(level, dict | tuple) else (level,)
    return [float(value) for value in listed if value is not None]


def _unit(of: Any) -> Any:
    return of.get("unit") if isinstance(of, dict) else None


def _read(mapping: Any, keys: tuple[str, ...]) -> None:
    for key in keys if isinstance(mapping, dict) else ():
        if key in mapping:
            mapping[key] = _each(mapping[key], _number)


def _each(value: Any, read: Callable[[Any], Any]) -> Any:
    """Apply a function to a value, or to every value that it holds."""
    if isinstance(value, dict):
        return {key: read(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [read(entry) for entry in value]
    return read(value)


def _number(value: Any) -> Any:
    fraction = fraction_of(value) if isinstance(value, str) else None
    return value if fraction is None else fraction
