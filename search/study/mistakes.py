"""Mistakes in a study file: where one is, what is wrong, and how to word it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticCustomError

Path = tuple[str | int, ...]
"""Where a value stands: mapping keys and list positions from the top of the file."""

ERROR_TYPE = "study_mistake"


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong.

    Attributes:
        path: Where, from the top of the file (or from the model that found it).
        message: What must hold, what was given, what is allowed.
    """

    path: Path
    message: str


def wrong(message: str, *path: str | int) -> PydanticCustomError:
    """Return the error for a validator to raise, at ``path`` below the validated value."""
    return wrongs([Mistake(path, message)])


def wrongs(mistakes: Sequence[Mistake]) -> PydanticCustomError:
    """Return one error that carries several mistakes of a model."""
    text = "; ".join(mistake.message for mistake in mistakes)
    return PydanticCustomError(ERROR_TYPE, "{text}", {"text": text, "mistakes": tuple(mistakes)})


def dotted(path: Path) -> str:
    """Return a path as people write it.

    A key may be any text, so it is shortened and shown on one line.

    Example:
        >>> dotted(("scenario", "steps", 0, "dbt"))
        'scenario.steps[0].dbt'
        >>> dotted(("metrics", "two\\nlines"))
        'metrics.two\\\\nlines'
    """
    text = ""
    for part in path:
        part = one_line(part, most=80) if isinstance(part, str) else part
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def one_line(text: str, *, most: int = 1500) -> str:
    """Return text as part of a message: without line ends and control characters, not too long.

    Example:
        >>> one_line("a\\tb\\x1b[0m" + "c" * 20, most=10)
        'a\\\\tb\\\\x...'
    """
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
    return shown if len(shown) <= most else shown[: most - 3] + "..."


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return ``; did you mean `x`?`` for the closest known word, or nothing.

    Example:
        >>> did_you_mean("merrit", ["merit", "cola"])
        '; did you mean `merit`?'
    """
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(word)[:80].lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean `{by_lower[close[0]]}`?" if close else ""


def listed(words: Iterable[str], most: int = 30) -> str:
    """Return words as a list for a sentence, cut off when there are many."""
    words = list(words)
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def given(value: Any) -> str:
    """Return what was given, for a message: short, with its kind where that helps.

    Example:
        >>> given("5"), given(5), given(None), given({"a": 1})
        ("the text '5'", '5', 'nothing', "the mapping {'a': 1}")
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    kind: dict[type, str] = {
        str: "the text ",
        dict: "the mapping ",
        list: "the list ",
        tuple: "the list ",
    }
    text = repr(list(value) if isinstance(value, tuple) else value)
    return kind.get(type(value), "") + (text if len(text) <= 80 else text[:77] + "...")
