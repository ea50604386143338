"""``dagster dev`` with our gate in front of its web server: ``python -m dagster_defs.ui``."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from search.system.packages import extra_missing

WEB_SERVER = "dagster_webserver"
GATED = "dagster_defs.web"


def main() -> None:
    """Run ``dagster dev`` with the options given; its web server is started with the gate."""
    try:
        import_module(WEB_SERVER)
    except ModuleNotFoundError as error:
        sys.exit(f"{extra_missing(error.name or '', 'the UI of Dagster') or error}")
    dev: Any = import_module("dagster._cli.dev")
    dagster: Any = import_module("dagster._cli").main
    launch = dev.open_ipc_subprocess

    def launch_gated(words: list[str], **options: Any) -> Any:
        return launch([GATED if word == WEB_SERVER else word for word in words], **options)

    dev.open_ipc_subprocess = launch_gated
    sys.argv = ["dagster", "dev", *sys.argv[1:]]
    dagster()


if __name__ == "__main__":
    main()
