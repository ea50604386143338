"""The grid of a stepped range, in decimal arithmetic: no 0.30000000000000004."""

from __future__ import annotations

import math
from decimal import Decimal

_TOLERANCE = Decimal("1e-9")
MAX_GRID_POINTS = 10**9
SIGNIFICANT_DIGITS = 10
"""Digits of a free float that a sampler proposes. dbt writes a value into SQL as text, whose digits
decide its DECIMAL type: 17 of them leave a product no room, and an innocent model overflows."""
MIN_SHARES = 4
"""Digits that tell points of a range apart, however far from zero the range lies."""


def _decimal(value: int | float) -> Decimal:
    return Decimal(repr(float(value) if isinstance(value, float) else int(value)))


def grid_count(low: int | float, high: int | float, step: int | float) -> int | None:
    """Return how many steps lead from low to high, or None when they do not divide the range.

    The division may miss by 1e-9 relative, so that thirds can be written down.

    Example:
        >>> grid_count(0.0, 0.3, 0.1), grid_count(0.0, 1.0, 0.3)
        (3, None)
    """
    ratio = (_decimal(high) - _decimal(low)) / _decimal(step)
    count = round(ratio)
    return count if count >= 1 and abs(ratio - count) <= _TOLERANCE * count else None


def grid_value(low: int | float, step: int | float, index: int) -> float:
    """Return the grid's point number ``index``, as the float nearest to the exact decimal.

    Example:
        >>> grid_value(0.0, 0.1, 3)
        0.3
    """
    return float(_decimal(low) + index * _decimal(step))


def grid_index(low: int | float, step: int | float, value: int | float) -> tuple[int, float]:
    """Return the nearest point's number and how far the value is from it, in steps (0 to 0.5)."""
    ratio = (_decimal(value) - _decimal(low)) / _decimal(step)
    index = round(ratio)
    return index, float(abs(ratio - index))


def is_on_grid(low: int | float, step: int | float, value: int | float) -> bool:
    """Return whether a value stands on the grid, rounding noise forgiven (1e-8 of a step)."""
    return grid_index(low, step, value)[1] <= 1e-8


def rounded(value: float, low: float, high: float, *, is_log: bool = False) -> float:
    """Return the value of a free range with as many digits as a sampler's proposal may have.

    Args:
        value: Any number; the range's ends are returned for what lies outside.
        low: Start of the range.
        high: End of the range.
        is_log: Whether the range is even in the logarithm: digits then count from the value's own.

    Example:
        >>> rounded(1.0225964036081931, 0.5, 2.0), rounded(0.04691025224312, 0.01, 0.2)
        (1.022596404, 0.0469102522)
        >>> rounded(1000000.123456789, 1000000.0, 1000001.0)
        1000000.1235
    """
    digits = free_decimals(value if is_log else low, value if is_log else high, is_log=is_log)
    return min(float(high), max(float(low), round(float(value), digits)))


def free_decimals(low: float, high: float, *, is_log: bool = False) -> int:
    """Return how many decimals the values of a free range have at most; below 0 for tens.

    Example:
        >>> free_decimals(0.01, 0.2), free_decimals(0.5, 2.0)
        (10, 9)
    """
    size = min(abs(low), abs(high)) if is_log else max(abs(low), abs(high))
    digits = SIGNIFICANT_DIGITS - 1 - _magnitude(size)
    if not is_log and high > low:
        digits = max(digits, MIN_SHARES - _magnitude(high - low))
    return digits


def _magnitude(size: float) -> int:
    return math.floor(math.log10(size)) if size > 0 else 0


def nearest_highs(low: int | float, high: int | float, step: int | float) -> list[float]:
    """Return the ends of the range next to ``high`` that the step would divide."""
    below = int((_decimal(high) - _decimal(low)) / _decimal(step))
    return [grid_value(low, step, index) for index in (below, below + 1) if index >= 1]
