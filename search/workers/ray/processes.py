"""Processes that Ray started: whether they live, what they run, and their end."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

_logger = logging.getLogger(__name__)


GOODBYE_SECONDS = 10.0
"""How long Ray's processes get to end before they are killed by pid."""


def end_all(processes: set[psutil.Process]) -> None:
    """Wait until processes have ended, and kill those that do not."""
    _, alive = psutil.wait_procs(list(processes), timeout=GOODBYE_SECONDS)
    if alive:
        _logger.warning(
            "killing what did not end by itself: %s", [process.pid for process in alive]
        )
        kill_all(alive)
        psutil.wait_procs(alive, timeout=GOODBYE_SECONDS)


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """Kill processes that may be gone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process runs; one that only waits to be reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def command_of(process: psutil.Process) -> list[str]:
    """Return the words that a process was started with; none when it is gone or foreign."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def program_of(process: psutil.Process) -> str:
    """Return the name of a process's program."""
    return Path((command_of(process) or [""])[0]).name


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """Return all that a process started, and what that started."""
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
