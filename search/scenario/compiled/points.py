"""Where a scenario is recorded beside the first candidate: a point that differs in everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from search.errors import RecordingError
from search.scenario.compiled.literals import other_class, same_class
from search.scenario.compiled.probes import PROBE_DIGITS, probe_values
from search.study.parameters import ParameterSpec
from search.study.values import Scalar

MAX_SECOND_VALUES = 1000
"""Values of an integer that are looked through for one that tells it from another."""
SHARES = (1.0, 0.5, 0.25, 0.05, -0.25, -0.05)
"""How far from the first candidate towards the point wanted, and to the other side of it."""
MAX_ALONE = 8
"""Parameters that are moved one at a time, when the scenario fails wherever all of them move."""

Values = Mapping[str, Scalar]


class SecondPoints:
    """Points to record, one after the other until the scenario succeeds at one.

    The first candidate may stand at the edge of a region in which the scenario fails: nearer
    points come, then points on its other side, then each parameter alone shows its side.

    Args:
        parameters: What their values may be.
        first: The candidate that is recorded first.
        fixed: Parameters that keep its value.
        typed: Parameters whose literal keeps the type of its value; the others' literals get
            another type where the range allows it, so that what follows from types is seen.
    """

    def __init__(
        self,
        parameters: Mapping[str, ParameterSpec],
        first: Values,
        *,
        fixed: frozenset[str],
        typed: frozenset[str],
    ) -> None:
        self._parameters = parameters
        self._first = dict(first)
        self._typed = typed
        self._free = [name for name in parameters if name not in fixed]
        self._wanted = self._differing()

    def first_choice(self) -> dict[str, Scalar]:
        """Return the point to try before all others.

        Raises:
            RecordingError: If a literal's type allows no second value.
        """
        return self._at(dict.fromkeys(self._free, 1.0))

    def nearer(self) -> Iterator[dict[str, Scalar]]:
        """Yield points at which all parameters differ, nearer and on the other side."""
        seen = [self.first_choice()]
        for share in SHARES[1:]:
            point = self._at(dict.fromkeys(self._free, share))
            if point not in seen:
                seen.append(point)
                yield point

    def alone(self) -> Iterator[tuple[str, float, dict[str, Scalar]]]:
        """Yield points at which one parameter differs: its name, its share and the point."""
        for name in self._free[:MAX_ALONE]:
            for share in (SHARES[3], SHARES[5]):
                point = self._at({name: share})
                if point != self._first:
                    yield name, share, point

    def together(self, shares: Mapping[str, float]) -> dict[str, Scalar]:
        """Return the point at which each parameter has gone its own way."""
        return self._at(shares)

    def _at(self, shares: Mapping[str, float]) -> dict[str, Scalar]:
        point = dict(self._first)
        for name, share in shares.items():
            moved = _moved(self._parameters[name], self._first[name], self._wanted[name], share)
            point[name] = self._with_type(name, moved)
        return point

    def _with_type(self, name: str, wanted: Scalar) -> Scalar:
        parameter, first = self._parameters[name], self._first[name]
        if name not in self._typed:
            return other_class(parameter, first, wanted)
        value = same_class(parameter, first, wanted)
        if value is None:
            raise RecordingError(
                f"parameter {name} has no second value with as many digits as {first}, which "
                "decide the type of a column that dbt looks at"
            )
        return value

    def _differing(self) -> dict[str, Scalar]:
        """Return a value for each free parameter that is not the first candidate's.

        No two integers have the same value at both points, where the ranges allow it: they
        could not be told apart in SQL.
        """
        inside, other = (
            probe_values(self._parameters, point=1),
            probe_values(self._parameters, point=0),
        )
        wanted: dict[str, Scalar] = {}
        taken: set[tuple[Scalar, Scalar]] = set()
        for name in self._free:
            parameter, first = self._parameters[name], self._first[name]
            values = [inside[name], other[name]]
            if parameter.kind == "integer":
                low, high = parameter.bounds
                step = int(parameter.grid_step or 1)
                values += range(int(low), int(high) + 1, step)[:MAX_SECOND_VALUES]
            fresh = [value for value in values if value != first] or values
            apart = [value for value in fresh if (first, value) not in taken] or fresh
            wanted[name] = apart[0]
            taken.add((first, apart[0]))
        return wanted


def _moved(parameter: ParameterSpec, first: Scalar, wanted: Scalar, share: float) -> Scalar:
    """Return a value part of the way to the wanted one, or on the other side of the first."""
    if parameter.choices is not None:
        if share > 0:
            return wanted
        others = [choice for choice in parameter.choices if choice not in (first, wanted)]
        return others[0] if others else wanted
    assert not isinstance(first, str) and not isinstance(wanted, str)
    if share == 1.0:
        return wanted
    low, high = parameter.bounds
    value = min(float(high), max(float(low), first + share * (wanted - first)))
    if value == first:  # the first candidate stands at the range's end
        value = first + abs(share) * (wanted - first)
    if parameter.kind != "integer":
        return round(value, PROBE_DIGITS)
    step = int(parameter.grid_step or 1)
    way = 1 if value > first else -1
    steps = max(1, round(abs(value - first) / step))
    moved = int(first) + way * steps * step
    return moved if low <= moved <= high else wanted
