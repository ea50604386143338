"""Durations, tables and sentences as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from search.views.terminal import VERDICTS, painted, terminal


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
    whole = [int(share) for share in exact]
    by_loss = sorted(range(len(parts)), key=lambda i: whole[i] - exact[i])
    for place in by_loss[: 10_000 - sum(whole)]:
        whole[place] += 1
    return [share / 10_000 for share in whole]


GAP = 2
"""Spaces between columns."""


def table_text(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, strong: str | None = None
) -> str:
    """Return a table as aligned plain text; columns of numbers are aligned right.

    On a terminal it fits the width: columns that do not fit stand below, beside the first one
    again; long text wraps between words, a number never.

    Args:
        header: Names of the columns.
        rows: Cells, as many as columns.
        strong: Name of the column that stands out.

    Example:
        >>> print(table_text(["name", "value"], [["a", "1.0"], ["bb", "12.0"]]))
        name  value
        a       1.0
        bb     12.0
    """
    width = terminal().width
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(header))]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    if width is not None:
        most = max(12, width - GAP - (widths[0] if len(widths) > 1 else 0))
        least = [_longest_word(row[i] for row in [header, *rows]) for i in range(len(header))]
        widths = [
            wide if right else min(wide, max(word, most))
            for wide, right, word in zip(widths, numeric, least, strict=True)
        ]
        widths[0] = min(widths[0], max(least[0], width // 2))
    blocks = _blocks(widths, width)
    return "\n\n".join(
        "\n".join(
            line
            for row in (header, *rows)
            for line in _lines(row, block, widths, numeric, header=header, strong=strong)
        )
        for block in blocks
    )


def _blocks(widths: Sequence[int], width: int | None) -> list[list[int]]:
    """Return which columns stand in which block; the first one stands in each."""
    if width is None or len(widths) < 2:
        return [list(range(len(widths)))]
    blocks, taken = [[0]], widths[0]
    for column in range(1, len(widths)):
        if len(blocks[-1]) > 1 and taken + GAP + widths[column] > width:
            blocks.append([0])
            taken = widths[0]
        blocks[-1].append(column)
        taken += GAP + widths[column]
    return blocks


def _lines(
    row: Sequence[str],
    block: Sequence[int],
    widths: Sequence[int],
    numeric: Sequence[bool],
    *,
    header: Sequence[str],
    strong: str | None,
) -> list[str]:
    """Return a row's lines: several where its text wraps."""
    is_head = row is header
    parts = {
        i: [row[i]] if len(row[i]) <= widths[i] else textwrap.wrap(row[i], widths[i]) or [""]
        for i in block
    }
    lines = []
    for number in range(max(map(len, parts.values()))):
        cells = []
        for i in block:
            text = parts[i][number] if number < len(parts[i]) else ""
            padded = text.rjust(widths[i]) if numeric[i] else text.ljust(widths[i])
            style = "soft" if is_head else VERDICTS.get(row[i])
            if not is_head and style is None and header[i] == strong:
                style = "strong"
            last = padded.rstrip() if i == block[-1] else padded
            cells.append(painted(last, style))
        lines.append((" " * GAP).join(cells).rstrip())
    return lines


def _longest_word(texts: Iterable[str]) -> int:
    return max((len(word) for text in texts for word in text.split()), default=1)


def wrapped(text: str) -> str:
    """Return sentences as lines that fit the terminal, between words; as they are in a pipe."""
    width = terminal().width
    if width is None:
        return text
    lines = []
    for line in text.splitlines() or [""]:
        indent = " " * (len(line) - len(line.lstrip()))
        lines += textwrap.wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ) or [""]
    return "\n".join(lines)


def _is_number(text: str) -> bool:
    return text in ("", "-") or text[0].isdigit() or (text[0] in "+-" and len(text) > 1)
