"""SIGTERM is answered like Ctrl-C: the state is saved, nothing is left running."""

from __future__ import annotations

import logging
import os
import signal
import sys
from types import FrameType
from typing import NoReturn


def end_in_order_on_sigterm() -> None:
    """Let SIGTERM raise ``KeyboardInterrupt`` in this process, once.

    ``ray job stop``, service managers and container platforms send SIGTERM and kill what is
    left some seconds later. Further signals are ignored, so that they do not cut short what
    the first one began. For programs that own their process; call it in the main thread.
    """
    signal.signal(signal.SIGTERM, _interrupt)


def leave_at_once(code: int) -> NoReturn:
    """End this process when everything is closed and saved.

    Taking down an interpreter that holds Ray, DuckDB and Arrow takes up to a second on a busy
    machine, and ``ray job stop`` waits three in all.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads any more
            continue
    os._exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
