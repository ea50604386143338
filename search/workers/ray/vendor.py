"""Ray's insides, in one place; the ledger with the test that goes red first is docs/vendors.md."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

_SLICE_MS = 200
"""The longest single wait in which no other thread of Python runs."""


def keep_off_stdout() -> None:
    """Stop Ray from printing raylet messages to stdout, where ``--json`` writes its summary.

    Ray 2.60 prints them also with ``log_to_driver=False``; the pool logs what matters.
    """
    from ray._private import worker

    worker._worker_logs_enabled = False


@contextlib.contextmanager
def starting_on_loopback(launched: list[tuple[str, subprocess.Popen[bytes]]]) -> Iterator[None]:
    """Let ``ray.init`` keep ``_node_ip_address="127.0.0.1"``, and note each process it starts.

    Ray replaces a loopback address by the machine's, and binds to all interfaces then: its servers
    behind a token, its metric pages without one. Kept, it makes all of them listen there alone.
    It waits for a server's port without letting other threads run: here in slices, so that one that
    died is told meanwhile.

    Args:
        launched: Takes Ray's name for each process, and the process; one that dies at once too.
    """
    from ray._private import node as node_module
    from ray._private import services

    node: Any = node_module  # which does not export what it imports itself
    resolve, start = services.resolve_ip_for_localhost, services.start_ray_process
    wait = node.wait_for_persisted_port

    def noting(command: Any, process_type: str, *args: Any, **options: Any) -> Any:
        info = start(command, process_type, *args, **options)
        launched.append((process_type, info.process))
        return info

    def waiting(*args: Any, timeout_ms: int, **options: Any) -> int:
        deadline = time.monotonic() + timeout_ms / 1000
        while True:
            try:
                return int(wait(*args, timeout_ms=_SLICE_MS, **options))
            except RuntimeError:  # it is not there yet
                is_gone = any(process.poll() is not None for _, process in launched)
                if is_gone or time.monotonic() > deadline:
                    raise

    services.resolve_ip_for_localhost = lambda host: host
    services.start_ray_process = noting
    node.wait_for_persisted_port = waiting
    try:
        yield
    finally:
        services.resolve_ip_for_localhost, services.start_ray_process = resolve, start
        node.wait_for_persisted_port = wait


def walk_upload(
    folder: Path, excludes: Sequence[str], visit: Callable[[Path], None], quiet: logging.Logger
) -> None:
    """Visit what Ray would send of a folder, by Ray's own walk, so that both see the same.

    Args:
        folder: What ``--working-dir`` would name.
        excludes: ``excludes`` of the runtime environment.
        visit: Called with each path that is sent.
        quiet: Takes what the walk logs.
    """
    from ray._private.ray_constants import get_runtime_env_default_excludes
    from ray._private.runtime_env import packaging

    rules = [*get_runtime_env_default_excludes(), *excludes]
    matchers: list[Callable[[Path], bool]] = [packaging._get_excludes(folder, rules)]
    respect_gitignore = os.environ.get("RAY_RUNTIME_ENV_IGNORE_GITIGNORE") != "1"
    packaging._dir_travel(folder, matchers, visit, respect_gitignore, quiet)
