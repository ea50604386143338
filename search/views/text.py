"""Durations and tables as plain text."""

from __future__ import annotations

from collections.abc import Sequence


def duration_text(seconds: float) -> str:
    """Return a duration for people.

    Example:
        >>> duration_text(42.4), duration_text(95), duration_text(7260)
        ('42 s', '1 min 35 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def counted(number: int, thing: str) -> str:
    """Return a number of things.

    Example:
        >>> counted(1, "trial"), counted(1200, "trial")
        ('1 trial', '1,200 trials')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def whole_shares(parts: Sequence[float]) -> list[float]:
    """Return parts as fractions in hundredths of a percent that add up to exactly 1.

    What rounding loses goes to the parts that it cut most.

    Source:
        The largest remainder method, as in apportioning seats.

    Example:
        >>> whole_shares([1, 1, 1])
        [0.3334, 0.3333, 0.3333]
    """
    total = sum(parts)
    if total <= 0:
        return [0.0 for _ in parts]
    exact = [part / total * 10_000 for part in parts]
    whole = [int(one) for one in exact]
    by_loss = sorted(range(len(parts)), key=lambda i: whole[i] - exact[i])
    for place in by_loss[: 10_000 - sum(whole)]:
        whole[place] += 1
    return [one / 10_000 for one in whole]


def table_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as aligned plain text; columns of numbers are aligned right.

    Example:
        >>> print(table_text(["name", "value"], [["a", "1.0"], ["bb", "12.0"]]))
        name  value
        a       1.0
        bb     12.0
    """
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _is_number(text: str) -> bool:
    return text in ("", "-") or text[0].isdigit() or (text[0] in "+-" and len(text) > 1)
