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


def short_number(value: float) -> str:
    """Return a size for people, four digits at most: millions, billions and trillions in words.

    Example:
        >>> short_number(10_881_234_567.0), short_number(-341_200_000.0), short_number(22_333.0)
        ('10.88 bn', '-341.2 m', '22,333')
    """
    for size, word in ((1e12, "tn"), (1e9, "bn"), (1e6, "m")):
        if abs(value) >= size * (1 - 5e-5):
            return f"{value / size:.4g} {word}"
    return number_text(value)


def short_with_unit(value: float | None, unit: str | None) -> str:
    """Return a metric for a headline or an axis, with its unit.

    Example:
        >>> short_with_unit(10_881_234_567.0, "USD"), short_with_unit(0.0355, "fraction")
        ('10.88 bn USD', '3.55 %')
        >>> short_with_unit(None, "USD"), short_with_unit(22_333.0, "people")
        ('-', '22,333 people')
    """
    if value is None or unit == "fraction":
        return with_unit(value, unit)
    return f"{short_number(value)} {unit}" if unit else short_number(value)


def short_range(low: float, high: float, unit: str | None) -> str:
    """Return where a metric lies, for people; the unit once where both ends have it.

    Example:
        >>> short_range(10_913_545_374.0, 10_957_239_580.0, "USD"), short_range(0.03, 0.03, None)
        ('10.91 to 10.96 bn USD', '0.03')
    """
    first, last = short_with_unit(low, unit), short_with_unit(high, unit)
    if first == last:
        return first
    words, others = first.split(" "), last.split(" ")
    return f"{words[0]} to {last}" if words[1:] == others[1:] else f"{first} to {last}"


def short_change(change: float | None, unit: str | None) -> str:
    """Return a change for a headline or a chart, with sign and unit.

    Example:
        >>> short_change(-341_200_000.0, "USD"), short_change(0.0012, "fraction")
        ('-341.2 m USD', '+0.12 points')
    """
    if change is None or unit == "fraction" or abs(change) < 1e6:
        return signed(change, unit)
    text = ("+" if change > 0 else "") + short_number(change)
    return f"{text} {unit}" if unit else text
