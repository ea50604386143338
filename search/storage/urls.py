"""Addresses of databases, fit to be shown."""

from __future__ import annotations

import re


def masked(url: str) -> str:
    """Return the URL fit to be shown: the password, if any, as ``***``.

    Example:
        >>> masked("postgresql://me:secret@db/studies")
        'postgresql://me:***@db/studies'
    """
    # Not through a parser: the URL may be one that no parser accepts.
    return re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)
