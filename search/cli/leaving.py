"""How a command ends: an exit code, and what went wrong on stderr or as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from search.cli.options import RESULTS_VARIABLE as RESULTS_VARIABLE
from search.errors import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    SearchError,
)
from search.system import interrupt
from search.system.child import where_raised
from search.system.packages import extra_missing

USAGE, INTERRUPTED, UNEXPECTED = "usage", "interrupted", "unexpected"
"""Codes of what is no ``SearchError``."""


def exit_code(call: Callable[[], Any], *, is_json: bool = False) -> int:
    """Return the exit code of a call; tell what went wrong on stderr, and as JSON when asked."""
    said: dict[str, Any]
    try:
        code = call()
        sys.stdout.flush()
        return int(code or EXIT_OK)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except (KeyboardInterrupt, Exception) as error:
        # Libraries make errors of their own of an interrupt.
        if isinstance(error, (KeyboardInterrupt, click.Abort)) or interrupt.is_requested():
            message = "interrupted; the state is saved, the same command goes on"
            complain(message)
            said = {"failure": message, "code": INTERRUPTED, "exit_code": EXIT_INTERRUPTED}
        else:
            said = _told(error)
    if is_json:
        click.echo(json.dumps(said, indent=2, default=str))
    return int(said["exit_code"])


def _told(error: Exception) -> dict[str, Any]:
    """Tell what went wrong, and return it for programs."""
    if isinstance(error, click.ClickException):
        error.show()
        return {"failure": error.format_message(), "code": USAGE, "exit_code": error.exit_code}
    if isinstance(error, SearchError):
        complain(str(error))
        return error.document()
    if isinstance(error, ModuleNotFoundError):
        missing = extra_missing(error.name or "", "this command")
        if missing is not None:
            complain(str(missing))
            return missing.document()
    if os.environ.get("SCENARIO_SEARCH_TRACEBACK"):
        raise error
    message = _unexpected(error)
    complain(message)
    return {"failure": message, "code": UNEXPECTED, "exit_code": EXIT_FAILURE}


def _unexpected(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return (
            f"{sys.executable} must have the packages of scenario-search, but lacks {error.name}; "
            "install them there, or start the Python that has them"
        )
    if isinstance(error, MemoryError):
        return "this process has no memory left; end other programs, or give it more"
    return (
        f"unexpected {type(error).__name__}{where_raised(error)}: {error} "
        "(set SCENARIO_SEARCH_TRACEBACK=1 to see all of it)"
    )


def complain(message: str) -> None:
    """Say what is wrong, on stderr."""
    click.echo(f"scenario-search: {message}", err=True)
