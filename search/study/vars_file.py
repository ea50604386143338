"""``scenario.vars_file``: a YAML file of dbt vars, put below the study file's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.study.mistakes import Mistake, did_you_mean, given
from search.study.yaml_reader import MAX_BYTES, read_yaml

_KEY: tuple[str, ...] = ("scenario", "vars_file")


def merge_vars_file(document: dict[str, Any], file: Path) -> tuple[frozenset[str], list[Mistake]]:
    """Put the vars of ``scenario.vars_file`` into ``scenario.vars``, where those do not say more.

    Args:
        document: The study file's content; changed.
        file: The study file, against which the path is resolved.

    Returns:
        The vars that come from the file, and what stands in the way.
    """
    scenario = document.get("scenario")
    named = scenario.get("vars_file") if isinstance(scenario, dict) else None
    if not isinstance(scenario, dict) or not isinstance(named, str) or not named.strip():
        return frozenset(), []
    own = scenario.get("vars")
    if own is not None and not isinstance(own, dict):
        return frozenset(), []  # said of that key itself
    place = Path(named).expanduser()
    values, mistake = _vars_of(place if place.is_absolute() else file.absolute().parent / place)
    if mistake is not None:
        return frozenset(), [Mistake(_KEY, mistake)]
    scenario["vars"] = {**values, **(own or {})}
    return frozenset(name for name in values if name not in (own or {})), []


def _vars_of(place: Path) -> tuple[dict[str, Any], str | None]:
    """Return the vars of a file, or what is wrong with it."""
    try:
        content = place.read_bytes() if place.stat().st_size <= MAX_BYTES else None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        text = f"must be a YAML file of vars, but {place} cannot be read: {reason}"
        return {}, text + _near(place)
    if content is None:
        return {}, f"must be at most {MAX_BYTES} bytes, but {place} is larger"
    try:
        document = read_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return {}, f"must be UTF-8 text, but {place} is not"
    if document.mistakes:
        mistake, line = document.mistakes[0]
        return {}, f"{place}{f', line {line}' if line else ''}: {mistake.message}"
    if not isinstance(document.value, dict) or not document.value:
        return {}, f"{place} must be a mapping from var to value, but is {given(document.value)}"
    return {str(name): value for name, value in document.value.items()}, None


def _near(place: Path) -> str:
    try:
        names = [path.name for path in place.parent.iterdir() if path.suffix in (".yml", ".yaml")]
    except OSError:
        return ""
    return did_you_mean(place.name, sorted(names)[:1000])
