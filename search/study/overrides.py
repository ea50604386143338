"""Overrides of a study file from the command line: ``search.max_iterations=5``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from search.study.mistakes import Mistake, Path, given
from search.study.yaml_reader import Document, read_yaml

_PART = re.compile(r"([^.\[\]=]+)((?:\[\d{1,6}\])*)")


@dataclass(frozen=True)
class Override:
    """A value to put into the document.

    Attributes:
        text: As given.
        path: Where it goes.
        value: What goes there.
    """

    text: str
    path: Path
    value: Any


def parse_override(text: str) -> Override:
    """Return the override that ``dotted.key=yaml value`` states.

    Raises:
        ValueError: If the text has no key, no value or no valid YAML value.

    Example:
        >>> parse_override("scenario.steps[0].dbt.select=tag:core").path
        ('scenario', 'steps', 0, 'dbt', 'select')
    """
    key, equals, value_text = text.partition("=")
    path: list[str | int] = []
    for part in key.strip().split("."):
        match = _PART.fullmatch(part.strip())
        if match is None or not equals:
            raise ValueError(
                "must be written dotted.key=value, such as search.max_iterations=5, "
                f"but got {text!r:.120}"
            )
        path.append(match[1])
        path += [int(index) for index in re.findall(r"\d+", match[2])]
    if not value_text.strip():
        raise ValueError(f"must have a value after =, but got {text!r:.120}; null clears a key")
    document = read_yaml(value_text)
    if document.mistakes:
        raise ValueError(f"the value {document.mistakes[0][0].message}, in {text!r:.120}")
    return Override(text=text, path=tuple(path), value=document.value)


def apply_override(document: Document, override: Override) -> Mistake | None:
    """Put the override's value into the document; return what stands in the way, or None."""
    place = document.value
    for depth, part in enumerate(override.path):
        is_last = depth == len(override.path) - 1
        if isinstance(place, dict) and isinstance(part, str):
            part = next((key for key in place if str(key) == part), part)
            if is_last:
                place[part] = override.value
            elif place.get(part) is None:
                place[part] = {}
        elif isinstance(place, list) and isinstance(part, int) and part < len(place):
            if is_last:
                place[part] = override.value
        else:
            held = "a list with fewer entries" if isinstance(place, list) else given(place)
            text = f"override {override.text!r:.120} needs a place for `{part}`, but found {held}"
            return Mistake(override.path[:depth], text)
        if not is_last:
            place = place[part]
    for path in [path for path in document.lines if path[: len(override.path)] == override.path]:
        del document.lines[path]
    return None
