"""Small pieces of the page; what comes from the trail is escaped on its way into a template."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from search.report.facts import StudyFacts
from search.report.render import environment, part, policy
from search.report.style import CSS, JS
from search.study.figures import number_text, with_unit
from search.study.values import Scalar, value_text
from search.views.grid import Grid
from search.views.text import duration_text


def page(
    title: str,
    head: Markup,
    first: Sequence[Markup],
    analysis: Sequence[Markup] = (),
    provenance: Sequence[Markup] = (),
) -> str:
    """Return a whole page; it asks nobody for anything, whatever stands in it.

    Args:
        title: Of the window.
        head: Verdict and key figures.
        first: Sections that everybody reads.
        analysis: Sections for whoever checks.
        provenance: Sections that are folded.
    """
    groups = [
        [section for section in sections if section] for sections in (first, analysis, provenance)
    ]
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            policy=policy(JS, CSS),
            css=Markup(CSS),
            script=Markup(JS),
            head=head,
            first=groups[0],
            analysis=groups[1],
            provenance=groups[2],
            places=[
                match[1] for section in itertools.chain(*groups) if (match := _ID.match(section))
            ],
        )
    )


_ID = re.compile(r'<section id="([a-z]+)"')


def section(name: str, title: str, *parts: str, intro: str = "") -> Markup:
    """Return a section with an anchor; the intro is plain text."""
    return part("section", name, title, intro, parts)


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        content: What it shows.
        kind: Classes of the page's style.
        note: A small plain note below.
        span: Columns that it takes.
        is_strong: Whether it stands out.
    """

    content: str
    kind: str | None = None
    note: str | None = None
    span: int = 1
    is_strong: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a table; ``kind`` is a class of the page's style."""

    cells: Sequence[Cell]
    kind: str | None = None


def cell(
    content: str,
    *,
    is_text: bool = False,
    note: str | None = None,
    is_strong: bool = False,
    span: int = 1,
) -> Cell:
    """Return a table cell, with a small plain note below."""
    return Cell(content, "t" if is_text else None, note, span, is_strong)


def row(*cells: Cell, kind: str | None = None) -> Row:
    """Return a row of cells."""
    return Row(cells, kind)


def table(
    header: Sequence[tuple[str, bool]],
    rows: Iterable[Row],
    *,
    class_: str | None = None,
    is_sortable: bool = False,
) -> Markup:
    """Return a table; a heading is its plain text and whether it is of text."""
    classes = " ".join(word for word in (class_, "sortable" if is_sortable else None) if word)
    return part("table", header, rows, classes, is_sortable)


def wide(content: str) -> Markup:
    """Return something that may be wider than the page, in a frame that scrolls."""
    return part("frame", content, "wide")


def small(text: str) -> Markup:
    """Return a paragraph that explains."""
    return part("paragraph", text, "soft small")


def grid_table(grid: Grid) -> Markup:
    """Return a table of text cells; its first column is of text."""
    heads = [(name, position == 0) for position, name in enumerate(grid.header)]
    rows = [Row([cell(value, is_text=i == 0) for i, value in enumerate(row)]) for row in grid.rows]
    return wide(table(heads, rows))


def definitions(pairs: Iterable[tuple[str, str | None]]) -> Markup:
    """Return names with plain values; those without a value are left out."""
    return part("definitions", pairs)


def command(words: Sequence[str]) -> Markup:
    """Return a command as it can be pasted into a shell."""
    return part("command", shlex.join(words))


def badge(content: str, class_: str = "") -> Markup:
    """Return a short verdict."""
    return part("badge", content, class_)


def moment(at: datetime | None) -> str | None:
    """Return a moment for people, in UTC.

    Example:
        >>> moment(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
        '2026-01-02 03:04:05 UTC'
    """
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def seconds_text(seconds: float | None) -> str:
    """Return a duration, with a decimal where it is short.

    Example:
        >>> seconds_text(0.01234), seconds_text(12.34), seconds_text(95), seconds_text(None)
        ('0.012 s', '12.3 s', '1 min 35 s', '-')
    """
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds:.2g} s"
    return f"{seconds:.1f} s" if seconds < 60 else duration_text(seconds)


def percent(fraction: float | None, *, has_sign: bool = True) -> str:
    """Return a fraction in percent.

    Example:
        >>> percent(0.0123), percent(None)
        ('+1.23 %', '-')
    """
    if fraction is None:
        return "-"
    if abs(fraction) >= 100:
        return f"{fraction * 100:{'+' if has_sign else ''}.3g} %"
    return f"{fraction:{'+' if has_sign else ''}.2%}".replace("%", " %")


def bare(value: Scalar | None, unit: str | None) -> str:
    """Return a value without its unit, for a column whose heading has it.

    Example:
        >>> bare(0.0355, "fraction"), bare(1234.5, "USD"), bare(None, None)
        ('3.55', '1,234', '')
    """
    if value is None:
        return ""
    return with_unit(value, unit).removesuffix(" %") if unit == "fraction" else number_text(value)


def heading(name: str, unit: str | None) -> str:
    """Return a column's heading with the unit of what is below it."""
    shown = "%" if unit == "fraction" else unit
    return f"{name} ({shown})" if shown else name


def repeat_words(facts: StudyFacts, trial: int) -> list[str]:
    """Return the command that evaluates a trial's candidate again and compares the metrics."""
    return [*_evaluate(facts), "--from-trial", str(trial), *_results(facts)]


def what_if_words(facts: StudyFacts, values: dict[str, Any], trial: int | None = None) -> list[str]:
    """Return the command that evaluates given values with the vars that the study ran with.

    Args:
        facts: The study.
        values: The values.
        trial: The trial that they are from: its number brings the vars along.
    """
    words = _evaluate(facts)
    if trial is not None and facts.is_newest:
        words += ["--from-trial", str(trial)]
    else:
        known = facts.document.get("scenario", {}).get("vars") or {}
        for name, value in known.items():
            if isinstance(value, str | int | float):  # others are the study file's
                words += ["--var", f"{name}={value_text(value)}"]
    for name, value in values.items():
        words += ["--set", f"{name}={value_text(value)}"]
    return [*words, *_results(facts)]


def _evaluate(facts: StudyFacts) -> list[str]:
    return ["scenario-search", "evaluate", facts.run.study_file or "study.yml"]


def _results(facts: StudyFacts) -> list[str]:
    return ["--results", str(facts.folder.absolute().parent)]
