"""SIGTERM and a closed terminal are answered like Ctrl-C: state saved, nothing left running."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn, TextIO

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def end_in_order_on_signals() -> None:
    """Let SIGTERM and SIGHUP raise ``KeyboardInterrupt`` in this process, once.

    ``ray job stop``, service managers and container platforms send SIGTERM and kill what is
    left some seconds later; a terminal that is closed sends SIGHUP. Further signals are
    ignored, so that they do not cut short what the first one began. A signal that is ignored
    already stays so: that is how ``nohup`` works. For programs that own their process; call
    it in the main thread.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


class LastingStream:
    """A text stream that falls silent, and does not fail, once nobody reads it any more.

    A terminal that was closed, or a reader like ``head`` that has seen enough, must not cost
    the study its orderly end.

    Args:
        stream: Where to write while somebody reads.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text if anybody reads; return its length."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if anybody reads."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


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
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt
