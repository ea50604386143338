"""Numbers for people. Pure."""

from __future__ import annotations

from search.study.values import Scalar


def number_text(value: Scalar | None) -> str:
    """Return a value for people: thousands apart, as many digits as it is worth.

    Example:
        >>> number_text(1234567.891), number_text(0.0354999), number_text(21000.0)
        ('1,234,568', '0.0355', '21,000')
        >>> number_text("january"), number_text(True), number_text(None)
        ('january', 'true', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.4g}"


def with_unit(value: Scalar | None, unit: str | None) -> str:
    """Return a value with its unit; fractions are shown as percent.

    Example:
        >>> with_unit(0.0355, "fraction"), with_unit(120000.0, "USD"), with_unit(1.02, None)
        ('3.55 %', '120,000 USD', '1.02')
    """
    if unit == "fraction" and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value * 100:.4g} %"
    return number_text(value) if unit is None or value is None else f"{number_text(value)} {unit}"


def signed(change: float | None, unit: str | None) -> str:
    """Return a change for people: with sign and unit, that of a fraction in percentage points.

    Example:
        >>> signed(0.0012, "fraction"), signed(-1234567.0, "USD"), signed(None, "USD")
        ('+0.12 points', '-1,234,567 USD', '-')
    """
    if change is None:
        return "-"
    if unit == "fraction":
        return f"{change * 100:+.4g} points"
    shown = f"{change:+,.0f}" if abs(change) >= 1000 else f"{change:+.4g}"
    return f"{shown} {unit}" if unit else shown
