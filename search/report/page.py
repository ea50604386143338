"""Small pieces of HTML; every text that comes from the trail is escaped here."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from search.report.facts import StudyFacts
from search.report.plots import tag
from search.report.style import CSS, JS
from search.study.figures import number_text, with_unit
from search.study.values import Scalar
from search.views.text import duration_text

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The page asks nobody for anything, whatever stands in it."""


def page(title: str, body: str) -> str:
    """Return a whole page."""
    head = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style>"
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n'
        f"<body><main>{body}</main>\n<script>{JS}</script></body></html>\n"
    )


def section(name: str, title: str, *parts: str, intro: str = "") -> str:
    """Return a section with an anchor; the intro is plain text."""
    lead = tag("p", escape(intro), class_="soft small") if intro else ""
    return tag("section", tag("h2", escape(title)) + lead + "".join(parts), id=name) + "\n"


def cell(content: str, *, is_text: bool = False, note: str | None = None) -> str:
    """Return a table cell of ready HTML, with a small plain note below."""
    below = tag("small", escape(note)) if note else ""
    return tag("td", content + below, class_="t" if is_text else None)


def table(
    header: Sequence[tuple[str, bool]],
    rows: Iterable[str],
    *,
    class_: str | None = None,
    is_sortable: bool = False,
) -> str:
    """Return a table of ready rows; a heading is its plain text and whether it is of text."""
    heads = []
    for name, is_text in header:
        shown = tag("button", escape(name), type="button") if is_sortable else escape(name)
        heads.append(tag("th", shown, scope="col", class_="t" if is_text else None))
    classes = " ".join(part for part in (class_, "sortable" if is_sortable else None) if part)
    return tag(
        "table",
        tag("thead", tag("tr", "".join(heads))) + tag("tbody", "\n".join(rows)),
        class_=classes or None,
    )


def definitions(pairs: Iterable[tuple[str, str | None]]) -> str:
    """Return names with plain values; those without a value are left out."""
    items = [tag("dt", escape(name)) + tag("dd", escape(value)) for name, value in pairs if value]
    return tag("dl", "".join(items))


def command(words: Sequence[str]) -> str:
    """Return a command as it can be pasted into a shell."""
    return tag("pre", escape(shlex.join(words)))


def badge(content: str, class_: str = "") -> str:
    """Return a short verdict."""
    return tag("span", escape(content), class_=f"badge {class_}".strip())


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
                words += ["--var", f"{name}={_literal(value)}"]
    for name, value in values.items():
        words += ["--set", f"{name}={_literal(value)}"]
    return [*words, *_results(facts)]


def _evaluate(facts: StudyFacts) -> list[str]:
    return ["scenario-search", "evaluate", facts.run.study_file or "study.yml"]


def _results(facts: StudyFacts) -> list[str]:
    return ["--results", str(facts.folder.absolute().parent)]


def _literal(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
