"""The kinds of single values that a study file holds, checked with messages for people."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from search.study.budget import parse_size
from search.study.mistakes import given, wrong

Scalar = float | int | str | bool
"""A value of a parameter, of a loop or of a replication."""

MAX_WHOLE = 2**53
"""Whole numbers up to here survive as floats, which Optuna stores."""

T = TypeVar("T")
Items = Annotated[tuple[T, ...], Field(strict=False)]
"""A YAML list, frozen to a tuple."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DURATION = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d+)?)s)?")


class Model(BaseModel):
    """Base of the study file's models: unknown keys refused, no silent conversion, frozen."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


def is_identifier(text: str) -> bool:
    """Return whether text is a name: ASCII letters, digits and ``_``, no digit first."""
    return _IDENTIFIER.fullmatch(text) is not None and len(text) <= 80


def is_number(value: object) -> bool:
    """Return whether a value is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_mapping(value: Any) -> dict[Any, Any]:
    """Return a part of a document that should be a mapping; an empty one when it is not."""
    return value if isinstance(value, dict) else {}


def value_text(value: Scalar) -> str:
    """Return a scalar as it stands in YAML and in names such as ``growth@2026``.

    Example:
        >>> value_text(2026), value_text(True), value_text("east")
        ('2026', 'true', 'east')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_duration(value: str | int | float) -> float:
    """Return a duration in seconds.

    Args:
        value: Seconds as a number, or a text such as ``90s``, ``20m``, ``1h30m``, ``2d``.

    Raises:
        ValueError: If it is neither or not above 0.

    Example:
        >>> parse_duration("1h30m"), parse_duration("90s"), parse_duration(5)
        (5400.0, 90.0, 5.0)
    """
    seconds = 0.0
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and (match := _DURATION.fullmatch(value.replace(" ", "").lower())):
        factors = (86400, 3600, 60, 1)
        seconds = sum(float(n) * f for n, f in zip(match.groups(), factors, strict=True) if n)
    if not 0 < seconds <= 366 * 86400:
        raise ValueError(
            "a duration must be above 0 and at most 366d, written like 90s, 20m, 1h30m or 2d, "
            f"or as a number of seconds, but got {given(value)}"
        )
    return seconds


def check_number(value: Any) -> Any:
    """Return a finite number as it is; refuse anything else, text and booleans included."""
    hint = ""
    if isinstance(value, str):
        hint = "; write numbers without quotes and units"
        if value.rstrip().endswith("%"):
            hint = "; a percentage goes where a fraction is meant: with `unit: fraction`"
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if math.isfinite(value) and abs(value) <= 1e300:
            return value
        hint = "; it must be finite"
    raise wrong(f"must be a number, but got {given(value)}{hint}")


def _scalar(value: Any) -> Any:
    if isinstance(value, (str, bool, int, float)):
        return value
    raise wrong(f"must be a single value (text, number, true or false), but got {given(value)}")


def _identifier(value: Any) -> Any:
    if isinstance(value, str) and is_identifier(value):
        return value
    raise wrong(
        "a name must be letters, digits and _ with no digit first, at most 80 characters, "
        f"but got {given(value)}"
    )


def _sql(value: Any) -> Any:
    if isinstance(value, str) and value.strip():
        return value
    raise wrong(f"must be SQL text, but got {given(value)}")


def _path(value: Any) -> Any:
    if isinstance(value, str) and value.strip():
        return value
    raise wrong(f"must be a path (text), but got {given(value)}")


def _duration(value: Any) -> Any:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise wrong(str(error)) from error


def _size(value: Any) -> Any:
    try:
        size = parse_size(value)
    except ValueError as error:
        raise wrong(str(error)) from error
    if size > 1000**5:
        raise wrong(f"a memory budget must be at most 1000TB, but got {given(value)}")
    return size


def _auto_or_count(least: int) -> BeforeValidator:
    def check(value: Any) -> Any:
        is_count = isinstance(value, int) and not isinstance(value, bool)
        if value == "auto" or (is_count and least <= value <= 1024):
            return value
        raise wrong(f"must be auto or a whole number from {least} to 1024, but got {given(value)}")

    return BeforeValidator(check)


def _yaml_value(value: Any) -> Any:
    """Check what dbt gets as a var: null, scalars, lists and mappings with text keys."""
    if isinstance(value, (list, tuple)):
        return [_yaml_value(item) for item in value]
    if isinstance(value, dict):
        return {value_text(key): _yaml_value(item) for key, item in value.items()}
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise wrong(
        f"must be text, a finite number, true, false, null, a list or a mapping, got {given(value)}"
    )


_SCALAR_SCHEMA = {"type": ["string", "number", "boolean"]}

Number = Annotated[int | float, BeforeValidator(check_number)]
ScalarValue = Annotated[
    str | bool | int | float, BeforeValidator(_scalar), WithJsonSchema(_SCALAR_SCHEMA)
]
Identifier = Annotated[str, BeforeValidator(_identifier), Field(pattern=f"^{_IDENTIFIER.pattern}$")]
SqlText = Annotated[str, BeforeValidator(_sql)]
PathText = Annotated[str, BeforeValidator(_path)]
_STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


RESERVED_NAMES = ("baselines", "programs", "reads", "node_files")
"""Folders of a results folder that are no study's."""
_RESERVED = re.compile(rf"(?:{'|'.join(RESERVED_NAMES)})|evaluations\.db.*", re.IGNORECASE)


def _study_name(value: Any) -> Any:
    if isinstance(value, str) and _STUDY_NAME.fullmatch(value):
        if _RESERVED.fullmatch(value):
            raise wrong(
                f"must be a name that is not one of our own in the results folder "
                f"({', '.join(RESERVED_NAMES)}, evaluations.db), but got {given(value)}"
            )
        return value
    raise wrong(
        "must be 1 to 80 letters, digits, dots, - or _, a letter or digit first, "
        f"but got {given(value)}"
    )


StudyName = Annotated[str, BeforeValidator(_study_name), Field(pattern=f"^{_STUDY_NAME.pattern}$")]
Duration = Annotated[
    float | None,
    BeforeValidator(_duration),
    WithJsonSchema({"type": ["string", "number", "null"], "examples": ["20m", "90s", "1h30m"]}),
]
Size = Annotated[
    int,
    BeforeValidator(_size),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["8GB", "6GiB", "500MB"]}),
]
AutoOrCount = Annotated[int | Literal["auto"], _auto_or_count(1)]
AutoOrCountFromZero = Annotated[int | Literal["auto"], _auto_or_count(0)]
Vars = dict[Identifier, Annotated[Any, BeforeValidator(_yaml_value)]]
