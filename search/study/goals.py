"""The study file's ``metrics`` (what the scenario yields) and ``targets`` (what is wanted)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from search.study.mistakes import Mistake, given, wrong, wrongs
from search.study.percent import too_wide
from search.study.scenario import ForEach, check_loop
from search.study.values import Items, Model, Number, Scalar, SqlText, check_number, value_text

PRIORITY_WEIGHTS = {"high": 4.0, "medium": 2.0, "low": 1.0}
"""Weight of each word that ``priority`` may be."""

FRACTION_SCHEMA = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^ *[+-]?[0-9.]+ *% *$"}],
    "examples": [0.02, "2%"],
}
"""A fraction as a number, or as a percentage."""

KINDS = ("value", "change", "at_most", "at_least", "between", "minimize", "maximize")
"""The forms of a target; each target has exactly one."""


class MetricSpec(Model):
    """A number that the scenario yields, read by SQL."""

    sql: SqlText = Field(examples=["select sum(cost) from {{ ref('fct_optimization_metrics') }}"])
    """A query that yields one row with one number; Jinja's ref and var work as in dbt."""
    unit: str | None = Field(default=None, examples=["USD", "fraction"])
    """Unit, for people."""
    description: str | None = None
    """What the number means, for people."""
    after: Literal["end", "each"] = "end"
    """Read once at the end, or after each repetition of a looping step."""
    combine: Literal["mean", "last", "max", "min", "sum", "each"] | None = None
    """With `after: each`: how the readings become one number; `each` keeps one metric for each."""
    step: int | None = Field(default=None, ge=0)
    """With `after: each`: position in `steps` (from 0) of the looping step that is meant."""
    for_each: ForEach = None
    """With `after: end`: read once for each value, as metrics named `metric@value`."""

    @model_validator(mode="after")
    def _check(self) -> MetricSpec:
        mistakes = []
        if self.after == "each":
            if self.combine is None:
                text = "`combine` is required with after: each (mean, last, max, min, sum or each)"
                mistakes.append(Mistake(("combine",), text))
            if self.for_each is not None:
                text = "`for_each` goes only with after: end; with after: each use combine: each"
                mistakes.append(Mistake(("for_each",), text))
        else:
            mistakes += [
                Mistake((key,), f"`{key}` goes only with after: each; add `after: each` or drop it")
                for key in ("combine", "step")
                if getattr(self, key) is not None
            ]
        if mistakes:
            raise wrongs(mistakes)
        check_loop(self.for_each)
        return self


def _level(value: Any) -> Any:
    """A number, or a mapping from a repetition's value to a number."""
    if not isinstance(value, dict):
        return value if value is None else check_number(value)
    if not value:
        raise wrong("must be a number or a mapping from a repetition to a number, but got {}")
    mistakes = []
    for key, number in value.items():
        try:
            check_number(number)
        except PydanticCustomError as error:
            mistakes.append(Mistake((value_text(key),), str(error)))
    if mistakes:
        raise wrongs(mistakes)
    return {value_text(key): number for key, number in value.items()}


Level = Annotated[
    Number | dict[str, Number] | None,
    BeforeValidator(_level),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number"},
                {"type": "object", "additionalProperties": {"type": "number"}},
            ],
            "examples": [50000000, {"2026": 20600, "2027": 21200}],
        }
    ),
]


def _priority(value: Any) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if (isinstance(value, str) and value in PRIORITY_WEIGHTS) or (is_number and 0 < value <= 1e6):
        return value
    raise wrong(f"must be high, medium, low or a number above 0 (to 1e6), but got {given(value)}")


class TargetSpec(Model):
    """What a metric should be: exactly one form, with a tolerance and a priority."""

    value: Level = None
    """The metric should equal this, in its unit; a mapping gives each repetition its own."""
    change: Level = None
    """The metric should change by this fraction of its value at the current parameters."""
    at_most: Level = None
    """The metric should not exceed this, in its unit."""
    at_least: Level = None
    """The metric should not fall below this, in its unit."""
    between: Items[Number] | None = Field(
        default=None, min_length=2, max_length=2, examples=[[0.02, 0.04]]
    )
    """The metric should lie in [low, high], in its unit."""
    minimize: bool | None = None
    """`true`: as small as the other targets allow."""
    maximize: bool | None = None
    """`true`: as large as the other targets allow."""
    tolerance: Annotated[Number | None, WithJsonSchema(FRACTION_SCHEMA)] = None
    """Allowed distance as a fraction of the target, or as 2%; `search.tolerance` when left out."""
    tolerance_abs: Number | None = None
    """Allowed distance in the metric's unit, in place of tolerance; needed for a target of 0."""
    probability: Number | None = Field(default=None, examples=[0.9])
    """Share of random futures in which the target is to be met; above 0.5, below 1."""
    priority: Annotated[Literal["high", "medium", "low"] | Number, BeforeValidator(_priority)] = (
        "medium"
    )
    """Weight when targets conflict: high (4), medium (2), low (1), or a number above 0."""

    @model_validator(mode="after")
    def _check(self) -> TargetSpec:
        forms = [key for key in KINDS if getattr(self, key) is not None]
        if len(forms) != 1:
            got = " and ".join(forms) or "none"
            raise wrong(f"a target must have exactly one of {', '.join(KINDS)}, but got {got}")
        if self.minimize is False or self.maximize is False:
            raise wrong("must be true; leave the target out otherwise", forms[0])
        if mistakes := _between(self) + _tolerance(self, forms[0]) + _probability(self, forms[0]):
            raise wrongs(mistakes)
        return self

    @property
    def kind(self) -> str:
        """Which form the target has: one of ``KINDS``."""
        return next(key for key in KINDS if getattr(self, key) is not None)

    @property
    def weight(self) -> float:
        """Priority as a number."""
        if isinstance(self.priority, str):
            return PRIORITY_WEIGHTS[self.priority]
        return float(self.priority)

    def level(self, repetition: Scalar | None) -> float | None:
        """Return the number for one repetition (None: the metric does not repeat), or None."""
        level = getattr(self, self.kind)
        if isinstance(level, dict):
            level = level.get(value_text(repetition)) if repetition is not None else None
        return None if level is None else float(level)


def _between(target: TargetSpec) -> list[Mistake]:
    if target.between is None or target.between[0] < target.between[1]:
        return []
    return [
        Mistake(("between",), f"must be [low, high] with low < high, got {list(target.between)}")
    ]


def _probability(target: TargetSpec, form: str) -> list[Mistake]:
    if target.probability is None:
        return []
    if form in ("minimize", "maximize"):
        return [Mistake(("probability",), f"a probability does not go with {form}; drop it")]
    if not 0.5 < target.probability < 1:
        text = f"must be above 0.5 and below 1, such as 0.9, but got {target.probability}"
        return [Mistake(("probability",), text)]
    return []


def _tolerance(target: TargetSpec, form: str) -> list[Mistake]:
    allowed = {"tolerance": target.tolerance, "tolerance_abs": target.tolerance_abs}
    written = [key for key, value in allowed.items() if value is not None]
    if form in ("minimize", "maximize"):
        text = f"a tolerance does not go with {form}; drop it"
        return [Mistake((key,), text) for key in written]
    mistakes = [
        Mistake((key,), f"`{key} > 0` must hold, but got {allowed[key]}")
        for key in written
        if (allowed[key] or 0) <= 0
    ]
    if target.tolerance is not None and (width := too_wide(target.tolerance)) is not None:
        mistakes.append(Mistake(("tolerance",), width))
    if len(written) == 2:
        text = "give tolerance (a fraction) or tolerance_abs (in the metric's unit), not both"
        mistakes.append(Mistake(("tolerance_abs",), text))
    is_equal = form in ("value", "change")
    if target.tolerance_abs is None and (is_equal or target.tolerance is not None):
        zero = -1 if form == "change" else 0
        if any(number == zero for number in _numbers(target, form)):
            what = "a change of -1 (to 0)" if form == "change" else "a target of 0"
            text = f"{what} has no relative tolerance; give tolerance_abs, in the metric's unit"
            mistakes.append(Mistake((form,), text))
    return mistakes


def _numbers(target: TargetSpec, form: str) -> tuple[int | float, ...]:
    level = getattr(target, form)
    if isinstance(level, dict):
        return tuple(level.values())
    return level if isinstance(level, tuple) else (level,)
