"""How wide text may be and whether it has colour; whoever writes to a terminal says it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TextIO

LEAST_WIDTH = 40
STYLES = {"good": "32", "bad": "31", "warn": "33", "strong": "1", "soft": "2"}
"""Name of a style to its number. Source: ECMA-48, SGR."""
VERDICTS = {
    "met": "good", "minimized": "good", "maximized": "good", "missed": "bad", "unknown": "warn",
}  # fmt: skip
"""Words of tables that have a colour of their own."""


@dataclass(frozen=True)
class Terminal:
    """What text is written for.

    Attributes:
        width: Columns; None where lines may be as long as they are, as in a pipe.
        has_colour: Whether to paint.
    """

    width: int | None = None
    has_colour: bool = False

    @classmethod
    def of(cls, stream: TextIO, environment: Mapping[str, str] | None = None) -> Terminal:
        """Return what a stream is: a pipe has no width (unless COLUMNS says one) and no colour.

        Source:
            https://no-color.org: any value of NO_COLOR but an empty one.
        """
        known = os.environ if environment is None else environment
        is_terminal = stream.isatty()
        given = known.get("COLUMNS", "")
        width = int(given) if given.isdecimal() else None
        if width is None and is_terminal:
            width = shutil.get_terminal_size().columns
        is_plain = bool(known.get("NO_COLOR")) or known.get("TERM") == "dumb"
        return cls(None if width is None else max(LEAST_WIDTH, width), is_terminal and not is_plain)


_TERMINAL: ContextVar[Terminal] = ContextVar("terminal", default=Terminal())  # noqa: B039 - frozen


def terminal() -> Terminal:
    """Return what text is written for now: a pipe, unless somebody said otherwise."""
    return _TERMINAL.get()


@contextmanager
def writing_for(terminal: Terminal) -> Iterator[None]:
    """Write text for a terminal meanwhile."""
    token = _TERMINAL.set(terminal)
    try:
        yield
    finally:
        _TERMINAL.reset(token)


def painted(text: str, style: str | None) -> str:
    """Return text in a style where there is colour, else as it is."""
    if style is None or not terminal().has_colour or not text:
        return text
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m"
