"""Ray's insides, in one place; the ledger with the test that goes red first is docs/vendors.md."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path


def keep_off_stdout() -> None:
    """Stop Ray from printing raylet messages to stdout, where ``--json`` writes its summary.

    Ray 2.60 prints them also with ``log_to_driver=False``; the pool logs what matters.
    """
    from ray._private import worker

    worker._worker_logs_enabled = False


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
