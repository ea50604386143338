"""Keeps the driver's signal handlers while a native library installs its own."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGACTION_BYTES = 512
"""More than ``struct sigaction`` has anywhere; its content is never looked at."""


@contextmanager
def kept_handlers(*numbers: signal.Signals) -> Iterator[None]:
    """Restore the process's handlers of these signals afterwards; works in any thread.

    ``signal.signal`` works in the main thread only, and Python does not notice a handler
    that native code replaced: Ray 2.60 installs one that prints a stack and ends the
    process on SIGTERM, so that no ``finally`` would run.
    """
    sigaction = ctypes.CDLL(None, use_errno=True).sigaction
    saved = {number: ctypes.create_string_buffer(_SIGACTION_BYTES) for number in numbers}
    for number, action in saved.items():
        sigaction(int(number), None, action)
    try:
        yield
    finally:
        for number, action in saved.items():
            sigaction(int(number), action, None)


def reinstall_handlers(*numbers: signal.Signals) -> None:
    """Install again what Python has noted; does nothing outside the main thread.

    Covers a handler that was set while ``kept_handlers`` was at work in another thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in numbers:
        handler = signal.getsignal(number)
        if handler is not None:
            signal.signal(number, handler)
