"""Optuna's dashboard on 127.0.0.1, which answers reading requests only."""

from __future__ import annotations

import contextlib
import errno
import json
from collections.abc import Callable, Iterator
from typing import Any

from search.dashboard.shown import ShownStorage
from search.errors import StorageError
from search.system.gate import READING, refusal

HOST = "127.0.0.1"

Application = Callable[[dict[str, Any], Callable[..., Any]], Any]


class ReadOnly:
    """Lets reading requests of its own pages through and answers the others with a reason.

    Args:
        application: The dashboard.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer one request, as WSGI has it."""
        method = environ["REQUEST_METHOD"]
        names = ("HTTP_HOST", "HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE")
        given = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): environ[name]
            for name in names
            if name in environ
        }
        reason = "this dashboard only shows the study: nothing can be changed or deleted"
        if method in READING:
            refused = refusal(method, given, int(environ["SERVER_PORT"]))
            if refused is None:
                return self._application(environ, start_response)
            reason = refused
        body = json.dumps({"reason": reason}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("403 Forbidden", headers)
        return [body]


@contextlib.contextmanager
def dashboard_server(storage: ShownStorage, port: int) -> Iterator[Any]:
    """Listen on 127.0.0.1, and yield the server, not serving yet.

    Args:
        storage: What to show.
        port: 0 takes a free one.

    Raises:
        StorageError: If the port is taken.
    """
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    from optuna_dashboard import wsgi

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True  # a page that is open does not keep the command from ending
        allow_reuse_address = True

    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: a page asks every few seconds."""

    try:
        server = make_server(HOST, port, ReadOnly(wsgi(storage)), Server, Quiet)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        what = "is taken" if error.errno == errno.EADDRINUSE else "may not be used"
        raise StorageError(
            f"the dashboard must have a free port, but {port} on {HOST} {what}; "
            "use another one: --port 0 takes any that is free"
        ) from error
    with server:
        yield server


def study_address(storage: ShownStorage, study: str, port: int) -> str:
    """Return the address of a study's page."""
    number = storage.get_study_id_from_name(study)
    return f"http://{HOST}:{port}/dashboard/studies/{number}"
