"""The study file's ``parameters``: ranges and choices, and where each value goes."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from search.study.mistakes import Mistake, given, wrong, wrongs
from search.study.scenario import repeated
from search.study.stepped_range import MAX_GRID_POINTS, grid_count, is_on_grid, nearest_highs
from search.study.values import MAX_WHOLE, Identifier, Items, Model, Number, Scalar, ScalarValue

_NAME = r'(?:[A-Za-z_][A-Za-z0-9_$]*|"[^";]+")'
_TABLE = re.compile(rf"{_NAME}(?:\.{_NAME}){{0,2}}")


class BindSpec(Model):
    """Where a parameter's value goes: a dbt var, or cells of a table."""

    var: Identifier | None = None
    """The dbt var that takes the value."""
    table: str | None = Field(default=None, examples=["comp_levers"])
    """The table (a seed, a source) whose cells take the value; `schema.table` when needed."""
    column: str | None = Field(default=None, min_length=1, examples=["parameter_value"])
    """The column that takes the value."""
    where: str | None = Field(default=None, examples=["parameter_name = 'merit_budget'"])
    """SQL condition that picks the rows."""

    @model_validator(mode="after")
    def _check(self) -> BindSpec:
        cell = {"table": self.table, "column": self.column, "where": self.where}
        missing = [name for name, value in cell.items() if value is None]
        if (self.var is None) == (len(missing) == 3):
            raise wrong(
                "a bind must be either {var: name} or {table: ..., column: ..., where: ...}, but "
                + ("got neither" if self.var is None else "got both")
            )
        if self.var is not None:
            return self
        mistakes = [
            Mistake((name,), f"`{name}` is required when a parameter is bound to a table")
            for name in missing
        ]
        if self.table is not None and not _TABLE.fullmatch(self.table):
            mistakes.append(
                Mistake(
                    ("table",), f"must be a table's name such as comp_levers or main.comp_levers, "
                    f"but got {given(self.table)}",
                )
            )  # fmt: skip
        if self.where is not None and (not self.where.strip() or ";" in self.where):
            mistakes.append(
                Mistake(
                    ("where",), "must be one SQL condition that picks the rows, without `;` "
                    f"(`true` for all rows), but got {given(self.where)}",
                )
            )  # fmt: skip
        if mistakes:
            raise wrongs(mistakes)
        return self

    @property
    def place(self) -> str:
        """The place in words; two parameters with the same place would overwrite each other."""
        if self.var is not None:
            return f"var {self.var}"
        where = " ".join((self.where or "").split())
        return (
            f"table {(self.table or '').lower()} column {(self.column or '').lower()} where {where}"
        )


_CURRENT_SCHEMA = {
    "anyOf": [
        {"type": ["string", "number", "boolean"]},
        {
            "type": "object",
            "properties": {"active": {"type": ["string", "number", "boolean"]}},
            "required": ["active"],
            "additionalProperties": False,
        },
    ]
}


def _binds(value: Any) -> Any:
    return [value] if isinstance(value, (dict, BindSpec)) else value


def _bind_schema(schema: dict[str, Any]) -> None:
    array = {key: schema.pop(key) for key in ("type", "items", "minItems") if key in schema}
    schema["anyOf"] = [array["items"], array]


class ParameterSpec(Model):
    """A parameter: a numeric range (low, high) or a list of choices."""

    low: Number | None = None
    """Least value, in the parameter's unit."""
    high: Number | None = None
    """Greatest value, in the parameter's unit."""
    step: Number | None = None
    """Distance between allowed values; it must divide high - low. Left out: any value."""
    log: bool = False
    """Search on a logarithmic scale: for ranges over several powers of ten; low above 0."""
    type: Literal["float", "integer"] | None = None
    """Left out: integer when low, high and step are all written as whole numbers, else float."""
    choices: Items[ScalarValue] | None = Field(default=None, examples=[["january", "anniversary"]])
    """The allowed values, in place of low and high."""
    current: Annotated[ScalarValue | None, WithJsonSchema(_CURRENT_SCHEMA)] = None
    """Today's value, where the search starts and what `change` refers to; or `active`. Required."""
    unit: str | None = Field(default=None, examples=["fraction", "USD"])
    """Unit, for people."""
    description: str | None = None
    """What the parameter does, for people."""
    weight: float = Field(default=1.0, ge=0, le=1e6)
    """How much its change counts with `search.prefer: least_change`; 0: not at all."""
    bind: Annotated[Items[BindSpec], BeforeValidator(_binds)] = Field(
        min_length=1, json_schema_extra=_bind_schema, examples=[{"var": "merit_budget"}]
    )
    """Where the value goes: one place or a list of places."""

    @model_validator(mode="after")
    def _check(self) -> ParameterSpec:
        mistakes = _numeric(self) if self.choices is None else _categorical(self)
        if mistakes:
            raise wrongs(mistakes)
        return self

    @cached_property
    def kind(self) -> Literal["float", "integer", "categorical"]:
        """What the values are."""
        if self.choices is not None:
            return "categorical"
        if self.type is not None:
            return self.type
        written = (self.low, self.high, self.step)
        return "integer" if all(isinstance(value, int) for value in written) else "float"

    @property
    def is_numeric(self) -> bool:
        """Whether the parameter is a range."""
        return self.choices is None

    @property
    def bounds(self) -> tuple[int | float, int | float]:
        """Low and high of a numeric parameter."""
        if self.low is None or self.high is None:
            raise TypeError("a categorical parameter has no bounds")
        return self.low, self.high

    @cached_property
    def grid_step(self) -> int | float | None:
        """Distance between allowed values: ``step``, 1 for integers without one, else None."""
        if self.step is None and self.kind == "integer":
            return 1
        return self.step


def same_scalar(left: Scalar, right: Scalar) -> bool:
    """Return whether two scalars are the same value: 1 is 1.0, but true is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _categorical(spec: ParameterSpec) -> list[Mistake]:
    choices = spec.choices or ()
    mistakes = [
        Mistake((key,), f"`{key}` does not go with choices; give either choices or low and high")
        for key in ("low", "high", "step", "type")
        if getattr(spec, key) is not None
    ]
    if spec.log:
        mistakes.append(Mistake(("log",), "`log` does not go with choices"))
    if len(choices) < 2:
        mistakes.append(
            Mistake(("choices",), f"must be at least 2 values, but got {given(choices)}")
        )
    if len(choices) > 1000:
        mistakes.append(Mistake(("choices",), f"must be at most 1000 values, not {len(choices)}"))
    elif (twice := repeated(choices)) is not None:
        mistakes.append(Mistake(("choices",), f"must be unique, but {twice} stands twice"))
    elif any(left == right for at, left in enumerate(choices) for right in choices[:at]):
        mistakes.append(
            Mistake(("choices",), f"must be unique, but two are equal in {given(choices)}")
        )
    if spec.current is None:
        mistakes.append(_no_current())
    elif not any(same_scalar(spec.current, choice) for choice in choices):
        mistakes.append(
            Mistake(
                ("current",), f"must be one of the choices {given(choices)}, "
                f"but got {given(spec.current)}",
            )
        )  # fmt: skip
    return mistakes


def _no_current() -> Mistake:
    return Mistake(("current",), "`current` is required: today's value of the parameter")


def _numeric(spec: ParameterSpec) -> list[Mistake]:
    low, high = spec.low, spec.high
    if low is None and high is None:
        return [Mistake((), "must have low and high (a range) or choices, but got neither")]
    if low is None or high is None:
        missing = "low" if low is None else "high"
        return [Mistake((missing,), f"`{missing}` is required; a range has low and high")]
    if not low < high:
        return [Mistake(("low",), f"`low < high` must hold, but got low {low} and high {high}")]
    mistakes = _integer(spec, low, high) + _scale(spec, low) + _step(spec, low, high)
    return mistakes + _current(spec, low, high, grid_step=None if mistakes else spec.grid_step)


def _current(
    spec: ParameterSpec, low: int | float, high: int | float, *, grid_step: int | float | None
) -> list[Mistake]:
    current = spec.current
    if current is None:
        return [_no_current()]
    if isinstance(current, (bool, str)):
        text = f"must be a number, but got {given(current)}"
    elif not low <= current <= high:
        text = f"must be between low {low} and high {high}, but got {given(current)}"
    elif grid_step is not None and not is_on_grid(low, grid_step, current):
        text = f"must be low {low} plus whole steps of {grid_step}, but got {given(current)}"
    else:
        return []
    return [Mistake(("current",), text)]


def _integer(spec: ParameterSpec, low: int | float, high: int | float) -> list[Mistake]:
    if spec.kind != "integer":
        return []
    return [
        Mistake((key,), f"must be a whole number up to 2**53 for an integer, but got {value}")
        for key, value in (("low", low), ("high", high), ("step", spec.step))
        if value is not None and (value != int(value) or abs(value) > MAX_WHOLE)
    ]


def _scale(spec: ParameterSpec, low: int | float) -> list[Mistake]:
    if not spec.log:
        return []
    if low <= 0:
        return [Mistake(("low",), f"`low > 0` must hold with log, but got {low}")]
    if spec.step is not None:
        text = f"`step` does not go with log, but got {spec.step}; leave one of them out"
        return [Mistake(("step",), text)]
    return []


def _step(spec: ParameterSpec, low: int | float, high: int | float) -> list[Mistake]:
    step = spec.step
    if step is None:
        return []
    if step <= 0:
        return [Mistake(("step",), f"`step > 0` must hold, but got {step}")]
    if (high - low) / step > MAX_GRID_POINTS:
        return [Mistake(("step",), f"must be at least (high - low) / 1e9, but got {step}")]
    if grid_count(low, high, step) is None:
        highs = " or ".join(f"{value:g}" for value in nearest_highs(low, high, step))
        text = (
            f"must divide high - low, but {step} does not divide {high} - {low}; "
            f"with this step, high could be {highs}"
        )
        return [Mistake(("step",), text)]
    return []
