"""A parameter and a change as people see them, worked out once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from search.study import StudySpec
from search.study.figures import number_text, signed, with_unit
from search.study.values import Scalar


@dataclass(frozen=True)
class ParameterView:
    """A parameter with today's value and a candidate's, as text.

    Attributes:
        name: Its name.
        current: Today's value.
        best: The candidate's.
        change: How they differ.
        allowed: Range or choices.
    """

    name: str
    current: str
    best: str
    change: str
    allowed: str

    @property
    def row(self) -> list[str]:
        """The cells: name, current, best, change, allowed."""
        return [self.name, self.current, self.best, self.change, self.allowed]


class HasRange(Protocol):
    """What a parameter may be and is today: of a study file, or of its trail."""

    @property
    def unit(self) -> str | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def choices(self) -> Sequence[Scalar] | None: ...
    @property
    def current(self) -> Scalar | None: ...


def parameter_view(name: str, parameter: HasRange, value: Scalar | None) -> ParameterView:
    """Return a parameter with a candidate's value."""
    return ParameterView(
        name=name,
        current=with_unit(parameter.current, parameter.unit),
        best=with_unit(value, parameter.unit),
        change=change_text(parameter.current, value, parameter.unit),
        allowed=allowed_text(parameter.low, parameter.high, parameter.choices, parameter.unit),
    )


def parameter_views(spec: StudySpec, values: Mapping[str, Scalar]) -> list[ParameterView]:
    """Return every parameter of a study with a candidate's value, in the study's order."""
    return [
        parameter_view(name, parameter, values.get(name))
        for name, parameter in spec.parameters.items()
    ]


def allowed_text(
    low: float | None, high: float | None, choices: Sequence[Scalar] | None, unit: str | None
) -> str:
    """Return a range or choices for people.

    Example:
        >>> allowed_text(0.0, 0.08, None, "fraction"), allowed_text(None, None, ["a", True], None)
        ('0 % to 8 %', 'a | true')
    """
    if choices is not None:
        return " | ".join(number_text(choice) for choice in choices)
    return f"{with_unit(low, unit)} to {with_unit(high, unit)}"


def difference(left: Scalar | None, right: Scalar | None) -> float | None:
    """Return the second minus the first; None when they are no numbers."""
    if isinstance(left, str | bool) or isinstance(right, str | bool):
        return None
    return None if left is None or right is None else right - left


def change_text(left: Scalar | None, right: Scalar | None, unit: str | None) -> str:
    """Return how the second differs from the first, for people.

    Example:
        >>> change_text(0.02, 0.035, "fraction"), change_text(1.0, 1.005, "factor")
        ('+1.5 points', '+0.005 factor')
        >>> change_text("a", "b", None), change_text(None, 1, None), change_text(2, 2, None)
        ('changed', '-', 'same')
    """
    if left is None or right is None:
        return "-"
    if left == right:
        return "same"
    moved = difference(left, right)
    return "changed" if moved is None else signed(moved, unit)
