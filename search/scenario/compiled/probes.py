"""Probe values: parameter values that tell, while dbt renders, whether anything depends on them.

A probe prints exactly like the value that it stands for, so dbt renders the same SQL. When a
template compares it, computes with it or converts it, the rendered text may depend on the
value in ways that two recordings cannot show; the probe notes that. Python code of dbt
itself compares vars too (dictionaries, caches); only what a template does counts.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from search.study.parameters import ParameterSpec
from search.study.values import Scalar

_FRAMES = 12
_FRAMES_OF_DBT = 80
_SYMBOLS = {
    **{"add": "+", "radd": "+", "sub": "-", "rsub": "-", "mul": "*", "rmul": "*"},
    **{"truediv": "/", "rtruediv": "/", "floordiv": "//", "rfloordiv": "//", "mod": "%"},
    **{"rmod": "%", "pow": "**", "rpow": "**", "eq": "==", "ne": "!=", "lt": "<", "le": "<="},
    **{"gt": ">", "ge": ">=", "bool": "if", "getitem": "[]", "iter": "for"},
}
PROBE_DIGITS = 10


class UseLog:
    """Notes which parameters a template looked at, beyond printing them."""

    def __init__(self) -> None:
        self.used: dict[str, set[str]] = {}

    def note(self, parameter: str, operation: str) -> None:
        """Note an operation on a parameter's value, if a template is at work."""
        place = _template_at_work()
        if place is not None:
            what = _SYMBOLS.get(operation, operation)
            self.used.setdefault(parameter, set()).add(f"{what} in {place}")


def _template_at_work() -> str | None:
    """Return the node whose template is among the nearest callers, None when none is.

    dbt compiles templates without a name; the node stands in its own functions further up.
    """
    frame: FrameType | None = sys._getframe(2)
    for _ in range(_FRAMES):
        if frame is None:
            return None
        if "debug_info" in frame.f_globals and "environment" in frame.f_globals:
            return _place(frame)
        frame = frame.f_back
    return None


def _place(frame: FrameType | None) -> str:
    macro = ""
    for _ in range(_FRAMES_OF_DBT):
        if frame is None:
            break
        if frame.f_code.co_name == "call_macro" and not macro:
            name = getattr(getattr(frame.f_locals.get("self"), "macro", None), "name", None)
            macro = f"macro {name} of " if isinstance(name, str) else ""
        for variable in ("node", "parsed_node"):
            node_id = getattr(frame.f_locals.get(variable), "unique_id", None)
            if isinstance(node_id, str):
                return f"{macro}{node_id}"
        frame = frame.f_back
    return f"{macro}the project" if macro else "a template of the project"


def _watched(base: type, operations: tuple[str, ...]) -> dict[str, Any]:
    """Return methods that note the operation and then do what the base class does."""

    def method(name: str) -> Callable[..., Any]:
        original = getattr(base, name)

        def watched(self: Any, *args: Any) -> Any:
            self._log.note(self._parameter, name.strip("_"))
            return original(self, *args)

        return watched

    return {name: method(name) for name in operations}


_COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__bool__")
_ARITHMETIC = (
    *("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__"),
    *("__rtruediv__", "__floordiv__", "__rfloordiv__", "__mod__", "__rmod__", "__pow__"),
    *("__rpow__", "__neg__", "__abs__", "__round__", "__int__", "__float__", "__divmod__"),
    *("__floor__", "__ceil__", "__trunc__"),
)
_TEXT = (
    *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__contains__", "__getitem__"),
    *("__len__", "__iter__", "__mod__", "__mul__", "upper", "lower", "title", "capitalize"),
    *("replace", "split", "startswith", "endswith", "strip", "find", "format"),
)


def _same(self: Any, *_: Any) -> Any:
    return self


class _TextProbe(str):
    _parameter: str
    _log: UseLog
    __hash__ = str.__hash__
    __deepcopy__ = __copy__ = __str__ = _same
    locals().update(_watched(str, _TEXT))


def _printed(base: Any) -> tuple[Callable[..., str], Callable[..., str]]:
    """Return how a number prints: as text that is watched as well, and with a format."""

    def text(self: Any) -> str:
        return _text_probe(self._parameter, base.__repr__(self), self._log)

    def formatted(self: Any, how: str) -> str:
        if how:
            self._log.note(self._parameter, "format")
        made: str = base.__format__(self, how) if how else base.__repr__(self)
        return made

    return text, formatted


def _text_probe(parameter: str, text: str, log: UseLog) -> str:
    made = _TextProbe(text)
    made._parameter = parameter
    made._log = log
    return made


class _FloatProbe(float):
    _parameter: str
    _log: UseLog
    __hash__ = float.__hash__
    __str__, __format__ = _printed(float)
    __deepcopy__ = __copy__ = _same
    locals().update(_watched(float, (*_COMPARISONS, *_ARITHMETIC, "is_integer")))


class _IntProbe(int):
    _parameter: str
    _log: UseLog
    __hash__ = int.__hash__
    __str__, __format__ = _printed(int)
    __deepcopy__ = __copy__ = _same
    locals().update(_watched(int, (*_COMPARISONS, *_ARITHMETIC)))


def probe(parameter: str, value: Scalar, log: UseLog) -> Any:
    """Return a value that prints like the given one and notes what is done with it.

    A boolean cannot be subclassed and comes back as it is; see ``is_watched``.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text_probe(parameter, value, log)
    made: Any = _FloatProbe(value) if isinstance(value, float) else _IntProbe(value)
    made._parameter = parameter
    made._log = log
    return made


def is_watched(value: Scalar) -> bool:
    """Whether a probe of this value notes its use: a boolean's does not."""
    return not isinstance(value, bool)


def probe_values(parameters: Mapping[str, ParameterSpec], *, point: int) -> dict[str, Scalar]:
    """Return a value in range for each parameter, with long and unique digits where possible.

    Args:
        parameters: The study's parameters.
        point: 0 or 1: two points differ in every parameter.
    """
    chooser = random.Random(f"probe {point}")  # the same on every machine
    return {name: _value(parameter, chooser, point) for name, parameter in parameters.items()}


def _value(parameter: ParameterSpec, chooser: random.Random, point: int) -> Scalar:
    if parameter.choices is not None:
        return parameter.choices[point]
    low, high = parameter.bounds
    # The two points take a half of the range each, so that they differ.
    share = 0.1 + 0.35 * chooser.random() + 0.45 * point
    if parameter.kind == "integer":
        step = int(parameter.grid_step or 1)
        steps = int(high - low) // step
        return int(low) + step * min(steps, round(share * steps) + (point if steps < 3 else 0))
    return round(float(low) + share * float(high - low), PROBE_DIGITS)
