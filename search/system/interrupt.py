"""Stop signals end a run in order, within seconds, whatever it is doing; a second one at once.

The first signal raises ``KeyboardInterrupt`` where the main thread is. Native code may swallow that
(DuckDB makes a ``RuntimeError`` of it, dbt an answer of its own), so the request is remembered, and
who waits or is about to take an error for a result asks ``check``. Where nobody asks in time, a
thread that the signals reach first ends the process: the storage then has all that was told, and
the next start takes up the rest.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn, TextIO

from search.errors import EXIT_INTERRUPTED
from search.system.scratch import remove_made

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAVING_SECONDS = 4.5
"""How long a run may take to save and end; ``ray job stop`` and supervisors kill not much later."""
ONE_SIGNAL_SECONDS = 0.3
"""Signals this close together are one: a terminal that closes sends several."""
_SLICE_SECONDS = 0.5
"""Longest wait before a pending interrupt is noticed."""
_CUT_SHORT = b"scenario-search: ended at once; what was stored is kept, the same command goes on\n"


class _Request:
    """What is known of a request to stop this process."""

    def __init__(self) -> None:
        self.is_made = False
        self.is_being_answered = False
        self.must_leave = False
        self.watcher: threading.Thread | None = None
        self.says_what_was_ignored: Callable[[Any], Any] = sys.__unraisablehook__


_request = _Request()


def end_in_order_on_signals() -> None:
    """Let SIGINT, SIGTERM and SIGHUP raise ``KeyboardInterrupt`` in this process, once.

    ``ray job stop``, service managers and container platforms send SIGTERM and kill what is
    left some seconds later; a terminal that is closed sends SIGHUP. A second SIGINT or SIGTERM
    ends the process at once, and so does the end of ``SAVING_SECONDS``. A signal that is ignored
    already stays so: that is how ``nohup`` works. For programs that own their process; call
    it in the main thread.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    _request.is_made = _request.is_being_answered = False
    if sys.unraisablehook is not _say_what_was_ignored:
        _request.says_what_was_ignored = sys.unraisablehook
        sys.unraisablehook = _say_what_was_ignored
    if logging.lastResort is not None:
        logging.lastResort.addFilter(_is_worth_a_line)  # once: a filter is not added twice
    if _request.watcher is None:
        read, write = os.pipe()
        os.set_blocking(write, False)
        # Written to by the C handler, hence also while the main thread is in native code.
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        _request.watcher = threading.Thread(target=_watch, args=(read,), name="stop", daemon=True)
        _request.watcher.start()


def is_requested() -> bool:
    """Whether this process was asked to stop."""
    return _request.is_made


def check() -> None:
    """Raise ``KeyboardInterrupt`` if this process was asked to stop and nobody answers that yet.

    For loops that wait, and before an error counts as the result of something.
    """
    if _request.is_made and not _request.is_being_answered:
        raise KeyboardInterrupt


def wait_for(thread: threading.Thread) -> None:
    """Wait until a thread has ended; in slices, so that an interrupt arrives.

    Raises:
        KeyboardInterrupt: As ``check``.
    """
    while thread.is_alive():
        thread.join(_SLICE_SECONDS)
        check()


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Save what is to be saved: ``check`` lets everything through from now on."""
    _request.is_being_answered = True
    yield


def _interrupt(number: int, frame: FrameType | None) -> None:
    if not _request.is_made:
        _request.is_made = True
        raise KeyboardInterrupt


def _say_what_was_ignored(ignored: Any) -> None:
    """Be silent about an interrupt that came while an object was taken down: it is remembered."""
    if not (_request.is_made and isinstance(ignored.exc_value, KeyboardInterrupt)):
        _request.says_what_was_ignored(ignored)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Keep a library from telling of the interrupt as of an error of its own, and raising it on."""
    error = record.exc_info[1] if record.exc_info else None
    return not (_request.is_made and isinstance(error, KeyboardInterrupt))


def _watch(descriptor: int) -> None:
    """Wait for stop signals; end the process when a second one comes, or time is up."""
    first: float | None = None
    while True:
        left = None if first is None else max(0.0, first + SAVING_SECONDS - time.monotonic())
        if not select.select([descriptor], [], [], left)[0]:
            _cut_short()
        for number in os.read(descriptor, 64):
            if signal.Signals(number) not in _SIGNALS:
                continue
            now = time.monotonic()
            if first is None:
                first = now
            elif now - first > ONE_SIGNAL_SECONDS and number != signal.SIGHUP:
                _cut_short()


def _cut_short() -> NoReturn:
    with contextlib.suppress(OSError):
        os.write(2, _CUT_SHORT)
    remove_made()
    os._exit(EXIT_INTERRUPTED)


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


def leave_at_end() -> None:
    """Let the command line leave without taking the interpreter down: a thread hangs in it."""
    _request.must_leave = True


def must_leave() -> bool:
    """Whether some thread would keep the interpreter from ending."""
    return _request.must_leave


def leave_at_once(code: int) -> NoReturn:
    """End this process when everything is closed and saved.

    Taking down an interpreter that holds Ray, DuckDB and Arrow takes up to a second on a busy
    machine, and ``ray job stop`` waits three in all.
    """
    logging.shutdown()
    remove_made()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads any more
            continue
    os._exit(code)
