"""Dagster's web server with a gate in front: ``python -m dagster_defs.web``, as ``make ui`` has it.

Dagster's GraphQL takes mutations by GET and by content types that any page may send, so a page that
is open beside the UI could start runs. Here only requests of the UI's own pages are answered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from search.system.gate import refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


REPORTS = "/scenario-search/reports/"
"""Where the reports are, by the name of their study's folder."""
_REPORT = re.compile(re.escape(REPORTS) + r"([A-Za-z0-9][A-Za-z0-9._-]{0,79})")


class Gate:
    """Answers requests of the server's own pages, and refuses the others with a reason.

    The studies' reports are served beside them, so that a click in the UI opens one: browsers
    follow no link from a page to a file.

    Args:
        app: Dagster's application.
        results: Folder of all results; no report is served when None.
    """

    def __init__(self, app: Application, results: Path | None = None) -> None:
        self._app = app
        self._results = results

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket, as ASGI has it."""
        reason = refused(scope) if scope["type"] in ("http", "websocket") else None
        report = _report_path(scope, self._results) if reason is None else None
        if report is not None:
            await _send_page(report, send)
        elif reason is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            body = json.dumps({"reason": reason}).encode()
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": body})


def _report_path(scope: Scope, results: Path | None) -> Path | None:
    """Return the report that a request asks for; None when it asks for something else."""
    if results is None or scope["type"] != "http" or scope.get("method") != "GET":
        return None
    asked = _REPORT.fullmatch(str(scope["path"]))
    return None if asked is None else results / asked[1] / "report.html"


async def _send_page(page: Path, send: Send) -> None:
    try:
        status, body = 200, page.read_bytes()
    except OSError:
        status, body = 404, b"There is no report yet: the study has not run."
    kind = b"text/html; charset=utf-8" if status == 200 else b"text/plain"
    headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
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

    from dagster_defs.locations import Places

    server: Any = import_module("dagster_webserver.webserver").DagsterWebserver
    ungated = server.build_middleware

    def build_middleware(self: Any) -> list[Middleware]:
        results = Places.from_environment().results
        return [Middleware(Gate, results=results), *ungated(self)]

    server.build_middleware = build_middleware
    import_module("dagster_webserver.cli").main()


if __name__ == "__main__":
    main()
