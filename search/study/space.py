"""Parameters as Optuna distributions, dbt vars and table cells. Pure.

The one numeric space, in which samplers choose, is ``search.sampling.axes``.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from search.errors import SpecError
from search.study.constraints import Constraint
from search.study.mistakes import did_you_mean, given, listed
from search.study.models import StudySpec
from search.study.parameters import ParameterSpec, same_scalar
from search.study.percent import FRACTION, fraction_of
from search.study.stepped_range import grid_count, grid_index, grid_value, rounded
from search.study.values import Scalar, value_text

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Candidate = dict[str, Scalar]
"""One value for each parameter, in the study file's order."""
_WHOLE = re.compile(r"[+-]?\d{1,15}")


@dataclass(frozen=True)
class TableUpdate:
    """A parameter's value as cells of a table.

    Attributes:
        table: Name as in the study file.
        column: Column to set.
        where: SQL condition that picks the rows.
        value: What to set.
    """

    table: str
    column: str
    where: str
    value: Scalar


def distributions(spec: StudySpec) -> dict[str, BaseDistribution]:
    """Return Optuna's distribution of each parameter, in file order."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    space: dict[str, BaseDistribution] = {}
    for name, parameter in spec.parameters.items():
        if parameter.choices is not None:
            space[name] = CategoricalDistribution(parameter.choices)
            continue
        low, high = parameter.bounds
        step = parameter.step
        if parameter.kind == "integer":
            space[name] = IntDistribution(int(low), int(high), parameter.log, int(step or 1))
        else:
            top = high if step is None else grid_value(low, step, _grid_size(parameter))
            space[name] = FloatDistribution(low, top, parameter.log, step)
    return space


def current_candidate(spec: StudySpec) -> Candidate:
    """Return today's values of all parameters."""
    current = {name: parameter.current for name, parameter in spec.parameters.items()}
    return canonical(spec, current)


def canonical(spec: StudySpec, values: Mapping[str, Any]) -> Candidate:
    """Return a candidate in its one form: equal candidates become identical.

    Integers become ints, floats snap to the nearest point of their step's grid (computed
    in decimals, so 0.3 and never 0.30000000000000004), choices become the listed object,
    and the order is the study file's.

    Raises:
        SpecError: If a parameter is missing or unknown, or a value is out of range.
    """
    _check_names(spec, values, partial=False)
    return {
        name: _canonical(name, parameter, values[name])
        for name, parameter in spec.parameters.items()
    }


def proposed(spec: StudySpec, values: Mapping[str, Any]) -> Candidate:
    """Return what a sampler drew in canonical form, free floats with 10 significant digits.

    What a person asks for is taken as typed: see ``canonical``.

    Raises:
        SpecError: If a parameter is missing or unknown, or a value is out of range.
    """
    candidate = canonical(spec, values)
    for name, parameter in spec.parameters.items():
        if parameter.is_numeric and parameter.kind == "float" and parameter.grid_step is None:
            low, high = parameter.bounds
            candidate[name] = rounded(float(candidate[name]), low, high, is_log=parameter.log)
    return candidate


def validate_candidate(
    spec: StudySpec, values: Mapping[str, Any], *, partial: bool = False
) -> Candidate:
    """Return what a person asked for in canonical form, refusing whatever is not allowed.

    Stricter than ``canonical``: a value beside its step's grid is refused, not snapped,
    and the constraints must hold (unless partial).

    Args:
        spec: The study.
        values: Parameter name to value.
        partial: Whether parameters may be missing; the result then lacks them as well.

    Raises:
        SpecError: If a name is unknown or missing, a value is not allowed, or a
            constraint is violated; the message gives what is allowed.
    """
    _check_names(spec, values, partial=partial)
    candidate: Candidate = {}
    for name, parameter in spec.parameters.items():
        if name not in values:
            continue
        candidate[name] = _canonical(name, parameter, values[name])
        step = parameter.grid_step
        if step is not None and parameter.is_numeric:
            low, _ = parameter.bounds
            index, distance = grid_index(low, step, values[name])
            if distance > 1e-8:
                near = sorted({_grid_point(parameter, index + by) for by in (-1, 0, 1)})
                text = f"must be low {low} plus steps of {step}, but got {given(values[name])}"
                raise SpecError(f"{text}; near it are {listed(map(str, near))}", key=name)
    if not partial:
        for constraint in _constraints(spec):
            if not constraint.holds(candidate):
                used = ", ".join(f"{name} {candidate[name]}" for name in constraint.names)
                raise SpecError(f"`{constraint.text}` must hold, but got {used}", key="constraints")
    return candidate


def parse_value(spec: StudySpec, name: str, text: str) -> Scalar:
    """Return the value of a parameter that a text states, as typed after ``--set name=``.

    Raises:
        SpecError: If the name is unknown or the text is not one of its values.
    """
    _check_names(spec, {name: text}, partial=True)
    parameter = spec.parameters[name]
    text = text.strip()
    if parameter.choices is not None:
        for choice in parameter.choices:
            if value_text(choice) == (text.lower() if isinstance(choice, bool) else text):
                return choice
        return _canonical(name, parameter, text)
    fraction = fraction_of(text) if parameter.unit == FRACTION else None
    if fraction is not None:
        return validate_candidate(spec, {name: fraction}, partial=True)[name]
    try:
        number: int | float = int(text) if parameter.kind == "integer" else float(text)
    except ValueError as error:
        what = "a whole number" if parameter.kind == "integer" else "a number"
        raise SpecError(f"must be {what}, but got {given(text)}", key=name) from error
    return validate_candidate(spec, {name: number}, partial=True)[name]


def constraint_margins(spec: StudySpec, values: Mapping[str, Any]) -> tuple[float, ...]:
    """Return each constraint's margin for a candidate, at most 0 where it holds."""
    return tuple(constraint.margin(values) for constraint in _constraints(spec))


def constraints_hold(spec: StudySpec, values: Mapping[str, Any]) -> bool:
    """Return whether a candidate satisfies all constraints of the study."""
    return all(constraint.holds(values) for constraint in _constraints(spec))


def dbt_vars(spec: StudySpec, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the dbt vars of a candidate: the values of var-bound parameters."""
    return {
        bind.var: values[name]
        for name, parameter in spec.parameters.items()
        for bind in parameter.bind
        if bind.var is not None
    }


def table_updates(spec: StudySpec, values: Mapping[str, Scalar]) -> list[TableUpdate]:
    """Return the table cells of a candidate: the values of table-bound parameters."""
    return [
        TableUpdate(bind.table, bind.column, bind.where, values[name])
        for name, parameter in spec.parameters.items()
        for bind in parameter.bind
        if bind.table is not None and bind.column is not None and bind.where is not None
    ]


def _check_names(spec: StudySpec, values: Mapping[str, Any], *, partial: bool) -> None:
    known = list(spec.parameters)
    for name in values:
        if name not in spec.parameters:
            text = f"must be a parameter, which are {listed(known)}, but got {given(name)}"
            raise SpecError(text + did_you_mean(name, known), key=str(name))
    missing = [name for name in known if name not in values]
    if missing and not partial:
        raise SpecError(f"a candidate must have all parameters, but lacks {listed(missing)}")


def _canonical(name: str, parameter: ParameterSpec, value: Any) -> Scalar:
    if parameter.choices is not None:
        for choice in parameter.choices:
            if same_scalar(choice, value):
                return choice
        words = list(map(value_text, parameter.choices))
        text = f"must be one of {listed(words)}, but got {given(value)}"
        raise SpecError(text + did_you_mean(value, words), key=name)
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise SpecError(f"must be a finite number, but got {given(value)}", key=name)
    value = int(value) if isinstance(value, Integral) else float(value)
    low, high = parameter.bounds
    step = parameter.grid_step
    point = value if step is None else _grid_point(parameter, grid_index(low, step, value)[0])
    is_inside = low <= value <= high or (step is not None and math.isclose(value, point))
    if not is_inside:
        unit = f" {parameter.unit}" if parameter.unit else ""
        text = f"must be between {low} and {high}{unit}, but got {given(value)}"
        raise SpecError(f"{text}; widen the range in the study file if it is meant", key=name)
    return point if parameter.kind == "integer" else float(point)


def _grid_size(parameter: ParameterSpec) -> int:
    step = parameter.grid_step
    count = grid_count(*parameter.bounds, step) if step is not None else None
    if count is None:
        raise TypeError("a free parameter has no grid")
    return count


def _grid_point(parameter: ParameterSpec, index: int) -> int | float:
    low, _ = parameter.bounds
    step = parameter.grid_step or 1
    index = min(_grid_size(parameter), max(0, index))
    if parameter.kind == "integer":
        return int(low) + index * int(step)
    return grid_value(low, step, index)


def _constraints(spec: StudySpec) -> tuple[Constraint, ...]:
    names = tuple(name for name, parameter in spec.parameters.items() if parameter.is_numeric)
    return _parsed(spec.constraints, names)


@functools.lru_cache(maxsize=16)
def _parsed(texts: tuple[str, ...], names: tuple[str, ...]) -> tuple[Constraint, ...]:
    return tuple(Constraint.parse(text, names) for text in texts)


def assigned(spec: StudySpec, assignments: Sequence[str]) -> dict[str, Scalar]:
    """Return the values that ``name=value`` texts give to parameters.

    Raises:
        SpecError: If a text is not of that form, or the value not allowed.
    """
    values: dict[str, Scalar] = {}
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        if not sign:
            raise SpecError(f"--set must be name=value, but got {assignment!r}")
        values[name] = parse_value(spec, name, text)
    return values


def typed_whole(spec: StudySpec, assignments: Sequence[str]) -> dict[str, int]:
    """Return the whole numbers among ``name=value`` texts for vars that may be any number.

    To DuckDB ``2`` is a whole number and ``2.0`` none, so that ``7 // x`` differs. Values of a
    search are all of one type, so a range of any numbers has ``2.0``; who types ``2`` asks for it.

    Args:
        spec: The study.
        assignments: Texts that ``assigned`` takes.
    """
    whole = {}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        parameter = spec.parameters[name]
        is_free = parameter.is_numeric and parameter.kind == "float"
        if is_free and _WHOLE.fullmatch(text.strip()) and any(b.var for b in parameter.bind):
            whole[name] = int(text)
    return whole
