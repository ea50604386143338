"""The report's templates: whatever they are given is escaped, unless it is markup of ours."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from search.report.style import CSS

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """Return the environment of all templates: a missing value is an error, text is escaped."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )


def part(name: str, *arguments: Any) -> Markup:
    """Return a macro of ``parts.html.j2``, rendered."""
    return cast("Markup", getattr(_parts(), name)(*arguments))


@cache
def _parts() -> Any:
    return environment().get_template("parts.html.j2").module


@cache
def _drawing() -> Any:
    return environment().get_template("figure.svg.j2").module


def figure(width: str, height: str, shapes: Any, label: str, look: str | None) -> Markup:
    """Return shapes as SVG; see ``shapes.svg``."""
    return cast("Markup", _drawing().figure(width, height, shapes, label, look))


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """Return parts one after the other; those that are no markup are escaped.

    Example:
        >>> joined([Markup("<b>"), "a < b"])
        Markup('<b>a &lt; b')
    """
    return Markup(between).join(parts)


def styled_file(plot: Markup) -> str:
    """Return a figure as a file of its own, with the page's style."""
    opening, closing = plot.split(">", maxsplit=1)
    return part("picture", Markup(opening), Markup(CSS), Markup(closing))


def policy(script: str, style: str) -> str:
    """Return the page's content policy: nothing from anywhere, and only this script and style.

    Args:
        script: The text of the one script.
        style: The text of the one style sheet.

    Source:
        https://www.w3.org/TR/CSP3/#match-element-to-source-list
    """
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"script-src '{_hash(script)}'; style-src '{_hash(style)}'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
