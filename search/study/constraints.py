"""Constraints: comparisons of arithmetic over parameters, known before a candidate runs."""

from __future__ import annotations

import ast
import functools
import math
import operator
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from search.study.mistakes import did_you_mean, listed

MAX_LENGTH = 500

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_CALLS: dict[str, Callable[..., Any]] = {"abs": abs, "min": min, "max": max}
_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_ALLOWED = (
    "allowed are parameter names, numbers, + - * /, parentheses, abs, min, max, "
    "and the comparisons <= < >= >"
)


@dataclass(frozen=True)
class Expression:
    """Arithmetic over numbers with names, such as ``hires + 0.5 * cost``.

    Attributes:
        text: As in the study file.
        names: What it refers to, in order of appearance.
    """

    text: str
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, names: Collection[str] | None = None) -> Expression:
        """Return the expression that a text states.

        Args:
            text: Numbers, names, + - * /, parentheses, abs, min and max.
            names: What it may refer to; anything when left out.

        Raises:
            ValueError: If the text is not such an expression; the message says why.
        """
        body = _expression(text)
        used: list[str] = []
        known = names
        if known is None:
            known = {node.id for node in ast.walk(body) if isinstance(node, ast.Name)}
        _check(body, known, used, "numeric parameter or metric")
        return cls(text=text, names=tuple(dict.fromkeys(used)))

    def value(self, values: Mapping[str, Any]) -> float:
        """Return its value; infinite where it has none, such as after a division by 0.

        Args:
            values: Value of each name; others are ignored.
        """
        try:
            return float(_value(_expression(self.text), values))
        except (ZeroDivisionError, OverflowError):
            return math.inf


@functools.lru_cache(maxsize=256)
def _expression(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise ValueError(f"must be at most {MAX_LENGTH} characters, not {len(text)}")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"must be arithmetic such as a + 2 * b, but got {text!r}") from error


@dataclass(frozen=True)
class Constraint:
    """One constraint, parsed and checked.

    Attributes:
        text: As in the study file.
        names: Parameters that it refers to, in order of appearance.
    """

    text: str
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, names: Collection[str]) -> Constraint:
        """Return the constraint that a text states.

        Args:
            text: A comparison such as ``merit_budget + cola_rate <= 0.09``; may be chained.
            names: Numeric parameters that it may refer to.

        Raises:
            ValueError: If the text is not such a comparison; the message says why.
        """
        body = _compare(text)
        used: list[str] = []
        for term in (body.left, *body.comparators):
            _check(term, names, used)
        if not used:
            raise ValueError(f"a constraint must refer to a parameter, but got {text!r}")
        return cls(text=text, names=tuple(dict.fromkeys(used)))

    def margin(self, values: Mapping[str, Any]) -> float:
        """Return how far the constraint is from its limit: at most 0 when it holds.

        The arithmetic is exact in decimals, so that 0.07 + 0.02 <= 0.09 holds. The figure is
        in the unit of the two sides and always finite; an undefined one (division by 0)
        counts as violated by the largest float.

        Args:
            values: Value of each parameter in ``names``; others are ignored.
        """
        worst = -sys.float_info.max
        for left, right, is_strict in _sides(self.text):
            worst = max(worst, _margin(left, right, values, is_strict=is_strict))
        return worst

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether the candidate satisfies the constraint."""
        return self.margin(values) <= 0


def _compare(text: str) -> ast.Compare:
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a constraint must be at most {MAX_LENGTH} characters, not {len(text)}")
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"must be a comparison such as a + b <= 0.09, got {text!r}") from error
    if not isinstance(body, ast.Compare):
        raise ValueError(f"must be a comparison such as a + b <= 0.09, got {text!r}; {_ALLOWED}")
    for order in body.ops:
        if not isinstance(order, _ORDER):
            raise ValueError(f"must compare by <= < >= or >, got {text!r}")
    return body


def _check(
    node: ast.expr, names: Collection[str], used: list[str], kind: str = "numeric parameter"
) -> None:
    """Refuse whatever is not plain arithmetic over the names; collect the names used."""
    if isinstance(node, ast.Name):
        if node.id not in names:
            raise ValueError(
                f"`{node.id}` is not a {kind}; there are {listed(names) or 'none'}"
                f"{did_you_mean(node.id, names)}"
            )
        used.append(node.id)
    elif isinstance(node, ast.Constant):
        is_number = isinstance(node.value, (int, float)) and not isinstance(node.value, bool)
        if not is_number or not abs(node.value) <= 1e300:  # type: ignore[arg-type]
            raise ValueError(f"must be a finite number, got {ast.unparse(node)!r:.60}")
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        _check(node.left, names, used, kind)
        _check(node.right, names, used, kind)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        _check(node.operand, names, used, kind)
    elif isinstance(node, ast.Call) and _is_known_call(node):
        for argument in node.args:
            _check(argument, names, used, kind)
    else:
        raise ValueError(f"{ast.unparse(node)!r:.80} is not allowed in a constraint; {_ALLOWED}")


def _is_known_call(node: ast.Call) -> bool:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    right_count = len(node.args) == 1 if name == "abs" else len(node.args) >= 2
    has_star = any(isinstance(argument, ast.Starred) for argument in node.args)
    return name in _CALLS and right_count and not node.keywords and not has_star


@functools.lru_cache(maxsize=1024)
def _sides(text: str) -> tuple[tuple[ast.expr, ast.expr, bool], ...]:
    """Return (smaller side, greater side, strict) for each link of the comparison."""
    body = _compare(text)
    terms = [body.left, *body.comparators]
    sides = []
    for order, left, right in zip(body.ops, terms, terms[1:], strict=False):
        is_strict = isinstance(order, (ast.Lt, ast.Gt))
        is_less = isinstance(order, (ast.Lt, ast.LtE))
        sides.append((left, right, is_strict) if is_less else (right, left, is_strict))
    return tuple(sides)


def _margin(
    smaller: ast.expr, greater: ast.expr, values: Mapping[str, Any], *, is_strict: bool
) -> float:
    try:
        exact = _value(smaller, values) - _value(greater, values)
        # The sign decides; it must outlast a conversion that underflows to 0.
        margin = float(exact) or math.copysign(bool(exact) * sys.float_info.min, exact)
    except (ZeroDivisionError, OverflowError):
        return sys.float_info.max
    return sys.float_info.min if is_strict and margin == 0 else margin


@functools.lru_cache(maxsize=65536)
def _exact(value: int | float) -> Fraction:
    """Return the number as it is written, not as the float nearest to it."""
    return Fraction(repr(float(value) if isinstance(value, float) else int(value)))


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Name():
            return _exact(values[node.id])
        case ast.Constant():
            return _exact(node.value)
        case ast.BinOp():
            return _BINARY[type(node.op)](_value(node.left, values), _value(node.right, values))
        case ast.UnaryOp():
            operand = _value(node.operand, values)
            return -operand if isinstance(node.op, ast.USub) else operand
        case ast.Call(func=ast.Name(id=name)):
            return _CALLS[name](*(_value(argument, values) for argument in node.args))
    raise TypeError(f"not arithmetic: {ast.dump(node)}")
