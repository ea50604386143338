"""The type that DuckDB reads a parameter's text as: its digits decide it, and dbt may look at it.

``0.1`` is a DECIMAL(2,1), ``0.0469102522`` a DECIMAL(11,10) and ``1e-05`` a DOUBLE. Filled into a
recorded statement, a value's text means to DuckDB what it means when dbt sends it. But *which*
statements dbt sends may follow from a column's type: ``on_schema_change: sync_all_columns`` alters
a column, ``fail`` stops, a contract compares. Two recordings whose literals have other types tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from search.study.parameters import ParameterSpec
from search.study.values import Scalar

_WHOLE = (
    ("TINYINT", 2**7),
    ("SMALLINT", 2**15),
    ("INTEGER", 2**31),
    ("BIGINT", 2**63),
    ("HUGEINT", 2**127),
)
"""Types of whole numbers with their bound: beside a small column a literal takes the least."""
_SAME_TRIES = 200
_RARE = 0.01
"""Share of a range below which a kind of literal is left to dbt, candidate by candidate."""


def literal_class(value: Scalar) -> str:
    """Return what a value's text is read as; two values of one class never differ in a type.

    A text stands for itself: it may be the name of a column.

    Example:
        >>> [literal_class(one) for one in (0.1, -0.0469102522, 1.0, 1e-05, 7, 2**31, "july")]
        ['DECIMAL(2,1)', 'DECIMAL(11,10)', 'DECIMAL(2,1)', 'DOUBLE', 'TINYINT', 'BIGINT', "'july'"]
    """
    if isinstance(value, bool | str):
        return repr(value)
    if isinstance(value, int):
        return next((name for name, bound in _WHOLE if abs(value) < bound), "DOUBLE")
    text = repr(abs(value))
    if not text.replace(".", "", 1).isdigit():
        return "DOUBLE"
    decimals = len(text.partition(".")[2])
    return f"DECIMAL({len(text) - 1},{decimals})"


def literal_kind(value: Scalar) -> str:
    """Return a class without its digits: a kind that was never recorded may be sent otherwise.

    Example:
        >>> [literal_kind(one) for one in (0.1, 0.0469102522, 1e-05, 7, 700, 2**31, "july")]
        ['DECIMAL', 'DECIMAL', 'DOUBLE', 'INTEGER', 'INTEGER', 'BIGINT', 'VARCHAR']
    """
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, str):
        return "VARCHAR"
    name = literal_class(value).partition("(")[0]
    return "INTEGER" if name in ("TINYINT", "SMALLINT") else name


def unrecorded_kinds(parameter: ParameterSpec, recorded: set[str]) -> list[Scalar]:
    """Return a value of each kind that candidates often have and no recording has.

    Args:
        parameter: What its values may be.
        recorded: Kinds of its values that were recorded.
    """
    if parameter.choices is not None:
        examples = {literal_kind(choice): choice for choice in parameter.choices}
        return [value for kind, value in examples.items() if kind not in recorded]
    low, high = parameter.bounds
    if parameter.kind == "integer":
        ends: list[Scalar] = [int(low), int(high)]
        return list({literal_kind(e): e for e in ends if literal_kind(e) not in recorded}.values())
    shares = {"DOUBLE": 0.0, "DECIMAL": 0.0}
    values: dict[str, Scalar] = {}
    for i in range(1, 200):
        share = i / 200
        point = low * (high / low) ** share if parameter.log else low + share * (high - low)
        value = float(f"{point:.10g}")
        shares[literal_kind(value)] += 1 / 199
        values.setdefault(literal_kind(value), value)
    return [v for kind, v in values.items() if kind not in recorded and shares[kind] > _RARE]


def other_class(parameter: ParameterSpec, first: Scalar, wanted: Scalar) -> Scalar:
    """Return a value near the wanted one whose literal has another type than the first's.

    The wanted one itself when that is so, or when the range has no such value.
    """
    if isinstance(first, str | bool) or isinstance(wanted, str | bool):
        return wanted
    if literal_class(wanted) != literal_class(first) or parameter.choices is not None:
        return wanted
    low, high = parameter.bounds
    if parameter.kind == "integer":
        ends = (int(low), int(high))
        return next((e for e in ends if literal_class(e) != literal_class(first)), wanted)
    for digits in range(9, 0, -1):
        value = round(float(wanted), digits)
        if low <= value <= high and literal_class(value) != literal_class(first):
            return value
    return wanted


def same_class(parameter: ParameterSpec, first: Scalar, wanted: Scalar) -> Scalar | None:
    """Return another value in range whose literal has the first's type; None when there is none."""
    if parameter.choices is not None or isinstance(first, str | bool):
        return None
    assert not isinstance(wanted, str | bool)
    low, high = parameter.bounds
    kind = literal_class(first)
    if parameter.kind == "integer" or isinstance(first, int):  # one that was typed
        step = max(1, int(parameter.grid_step or 1))
        near = [int(first) + way * step * k for k in range(1, _SAME_TRIES) for way in (1, -1)]
        tried: list[Scalar] = [int(wanted), *near]
    else:
        tried = _same_floats(float(first), float(wanted), kind)
    return _first(
        tried,
        lambda v: low <= float(v) <= high and literal_class(v) == kind and v != first,
        None,
    )


def _same_floats(first: float, wanted: float, kind: str) -> list[Scalar]:
    if kind == "DOUBLE":
        return [float(f"{first * factor:.10g}") for factor in (1.3717, 0.7193, 1.0931, 0.9391, 3.7)]
    decimals = int(kind.partition(",")[2].rstrip(")"))
    unit = 10.0**-decimals
    starts = (round(wanted, decimals), first)
    return [
        round(start + way * k * unit, decimals)
        for start in starts
        for k in range(_SAME_TRIES)
        for way in (1, -1)
    ]


def _first(
    values: Iterable[Scalar], is_wanted: Callable[[Scalar], bool], otherwise: Scalar | None
) -> Scalar | None:
    return next((value for value in values if is_wanted(value)), otherwise)
