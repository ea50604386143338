"""JSON text that is the same for the same content, so that it can be compared and hashed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def dumps(value: Any) -> str:
    """Return canonical JSON: sorted keys, no spaces, UTF-8, no NaN or infinity.

    Example:
        >>> dumps({"b": 1, "a": [float("inf"), 0.1]})
        '{"a":["Infinity",0.1],"b":1}'
    """
    return json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def parsed(value: Any) -> Any:
    """Return the value behind JSON text; anything else, and other text, as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _plain(value: Any) -> Any:
    """Return the value in JSON's own types; numbers that JSON lacks become their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    # numpy's scalars carry item(); whatever else is kept as its text.
    return _plain(value.item()) if hasattr(value, "item") else str(value)
