"""Dagster's web server with a gate in front: ``python -m dagster_defs.web``, as ``make ui`` has it.

Dagster's GraphQL takes mutations by GET and by content types that any page may send, so a page that
is open beside the UI could start runs. Here only requests of the UI's own pages are answered.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs

from search.system.gate import refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gate:
    """Answers requests of the server's own pages, and refuses the others with a reason.

    Args:
        app: Dagster's application.
    """

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket, as ASGI has it."""
        reason = refused(scope) if scope["type"] in ("http", "websocket") else None
        if reason is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            body = json.dumps({"reason": reason}).encode()
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": body})


def refused(scope: Scope) -> str | None:
    """Return why a request is not answered; None when it may be."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in
               scope["headers"]}  # fmt: skip
    method = str(scope.get("method", "GET"))
    reason = refusal(method, headers, int(scope["server"][1]))
    if reason is None and method in ("GET", "HEAD"):
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        if "query" in asked and str(scope["path"]).rstrip("/").endswith("graphql"):
            return "GraphQL must be sent by POST as application/json"
    return reason


def main() -> None:
    """Run Dagster's web server with the gate; takes its options."""
    from starlette.middleware import Middleware

    server: Any = import_module("dagster_webserver.webserver").DagsterWebserver
    ungated = server.build_middleware

    def build_middleware(self: Any) -> list[Middleware]:
        return [Middleware(Gate), *ungated(self)]

    server.build_middleware = build_middleware
    import_module("dagster_webserver.cli").main()


if __name__ == "__main__":
    main()
