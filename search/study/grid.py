"""The grid of a stepped range, in decimal arithmetic: no 0.30000000000000004."""

from __future__ import annotations

from decimal import Decimal

_TOLERANCE = Decimal("1e-9")
MAX_GRID_POINTS = 10**9


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


def nearest_highs(low: int | float, high: int | float, step: int | float) -> list[float]:
    """Return the ends of the range next to ``high`` that the step would divide."""
    below = int((_decimal(high) - _decimal(low)) / _decimal(step))
    return [grid_value(low, step, index) for index in (below, below + 1) if index >= 1]
