"""Which requests a local server answers: those of its own pages and of programs on this machine.

Any page that a browser has open may send requests to 127.0.0.1, and a name that an attacker owns
may be made to point there (DNS rebinding). Both show in the headers that browsers set and pages
cannot: ``Host``, ``Origin``, ``Sec-Fetch-Site`` and ``Content-Type``.
"""

from __future__ import annotations

from collections.abc import Mapping

READING = frozenset({"GET", "HEAD", "OPTIONS"})
SIMPLE_TYPES = frozenset(
    {"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"}
)
"""What a page may send to any server without asking it first (Fetch standard, CORS-safelisted)."""
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")


def refusal(method: str, headers: Mapping[str, str], port: int) -> str | None:
    """Return why a request is not answered; None when it may be.

    Args:
        method: The request's method.
        headers: Its headers by their names in lower case.
        port: Where the server listens.

    Example:
        >>> refusal("GET", {"host": "localhost:3000"}, 3000)
        >>> refusal("GET", {"host": "evil.example:3000"}, 3000)
        "Host must be 127.0.0.1:3000 or localhost:3000, but is 'evil.example:3000'"
    """
    own = {f"{name}:{port}" for name in LOCAL_NAMES}
    host = headers.get("host", "").lower()
    if host not in own:
        return f"Host must be 127.0.0.1:{port} or localhost:{port}, but is {host!r:.100}"
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}":
        return f"Origin must be http://{host}, but is {origin!r:.100}"
    if method in READING:
        return None
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return "another site must not send this"
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in SIMPLE_TYPES:
        return f"Content-Type must be one that no other page can send, but is {kind!r:.100}"
    return None
