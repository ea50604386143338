"""Other plans that meet every target, each with a name that says how it differs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.study.figures import with_unit
from search.study.models import StudySpec
from search.study.parameters import ParameterSpec, same_scalar
from search.study.preference import moved
from search.study.values import Scalar, value_text

MOST_ALTERNATIVES = 3
DIFFERENT = 0.1
"""Ranges of parameters, summed, by which plans differ at least to be told apart."""


@dataclass(frozen=True)
class OtherPlan:
    """Another plan that meets every target.

    Attributes:
        trial: The trial that it is.
        values: Its parameters.
        name: How it differs from the winner, in words: ``keeps cola_rate at 2 %``.
        differs: Ranges of parameters that lie between it and the winner, summed.
    """

    trial: int
    values: Mapping[str, Scalar]
    name: str
    differs: float


def alternatives(
    spec: StudySpec,
    meeting: Sequence[tuple[int, Mapping[str, Scalar]]],
    most: int = MOST_ALTERNATIVES,
) -> tuple[OtherPlan, ...]:
    """Return the plans that differ most from the winner and from each other.

    Args:
        spec: The study.
        meeting: Number and candidate of the trials that meet every target, the winner first.
        most: At most so many.
    """
    if not meeting:
        return ()
    known, rest = [meeting[0][1]], list(meeting[1:])
    chosen: list[OtherPlan] = []
    while rest and len(chosen) < most:
        distances = [min(apart(spec, values, other) for other in known) for _, values in rest]
        farthest = max(range(len(rest)), key=distances.__getitem__)
        if distances[farthest] < DIFFERENT:
            break
        trial, values = rest.pop(farthest)
        taken = {parameter.name for parameter in chosen}
        name = next(n for n in names(spec, known[0], values) if n not in taken)
        chosen.append(OtherPlan(trial, values, name, apart(spec, values, known[0])))
        known.append(values)
    return tuple(chosen)


def apart(spec: StudySpec, candidate: Mapping[str, Scalar], other: Mapping[str, Scalar]) -> float:
    """Return how many ranges of parameters lie between two candidates, summed."""
    return sum(
        moved(parameter.model_copy(update={"current": other[name]}), candidate[name])
        for name, parameter in spec.parameters.items()
    )


def names(spec: StudySpec, winner: Mapping[str, Scalar], other: Mapping[str, Scalar]) -> list[str]:
    """Return names for a plan, the most telling first; the last one is like no other's.

    Args:
        spec: The study.
        winner: The plan that is recommended.
        other: The plan to name.
    """
    parameters = spec.parameters
    is_moved = {n: _is_moved(p, other[n]) for n, p in parameters.items()}
    texts = []
    if sum(is_moved.values()) == 1:
        texts.append(f"moves {next(n for n, yes in is_moved.items() if yes)} alone")
    by_size = sorted(
        parameters,
        key=lambda n: -moved(parameters[n].model_copy(update={"current": winner[n]}), other[n]),
    )
    texts += [
        f"keeps {n} at {_shown(parameters[n], other[n])}"
        for n in by_size
        if not is_moved[n] and _is_moved(parameters[n], winner[n])
    ]
    differing = [n for n in by_size if not same_scalar(winner[n], other[n])]
    texts += [_difference(n, parameters[n], winner[n], other[n]) for n in differing]
    every = ", ".join(f"{n} {_shown(parameters[n], other[n])}" for n in differing)
    return [*texts, f"other values: {every}"]


def _difference(name: str, parameter: ParameterSpec, winner: Scalar, other: Scalar) -> str:
    shown, instead = _shown(parameter, other), _shown(parameter, winner)
    if parameter.choices is not None:
        return f"{name} {shown} instead of {instead}"
    word = "more" if float(other) > float(winner) else "less"
    return f"{word} {name}: {shown} instead of {instead}"


def _is_moved(parameter: ParameterSpec, value: Scalar) -> bool:
    return moved(parameter, value) > 1e-9


def _shown(parameter: ParameterSpec, value: Scalar) -> str:
    if isinstance(value, bool | str):
        return value_text(value)
    return with_unit(value, parameter.unit)
