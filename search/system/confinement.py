"""Runs a function in a thread that may write to a few folders alone, as the kernel sees to it.

What a statement check does not see (a Python model that saves a file, a plugin, an extension)
meets this wall. It is Landlock, which Linux has since 5.13 and which needs no privilege; where
there is none, functions run as they are.

Source:
    https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import struct
import threading
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from search.system.portable import is_portable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_WRITE_FILE = 1 << 1
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
_REFER = 1 << 13
_TRUNCATE = 1 << 14
_REFER_SINCE, _TRUNCATE_SINCE = 2, 3

DEVICES = Path("/dev")
"""``/dev/null`` and shared memory are nobody's files."""
_SLICE_SECONDS = 0.2
"""The longest single wait: an exception that another thread injects must arrive."""
_GOODBYE_SECONDS = 5.0


@cache
def landlock_version() -> int:
    """Return the version of Landlock that this kernel offers; 0 when it offers none."""
    if is_portable():
        return 0
    version = int(_syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG))
    return max(version, 0)


def run_confined(function: Callable[[], Any], writable: Iterable[Path]) -> Any:
    """Call a function in a thread of its own that cannot change files outside some folders.

    Reading is not restricted. The threads that it starts are confined as well; what this
    process has open already stays as it is.

    Args:
        function: What to call.
        writable: Folders (and files) that it may write; those that do not exist are left out.

    Returns:
        What the function returns.
    """
    if not landlock_version():
        return function()

    def work() -> Any:
        _restrict([*writable, DEVICES])
        return function()

    return in_thread(work, "confined")


def in_thread(function: Callable[[], Any], name: str) -> Any:
    """Call a function in a thread of its own, and wait for it; an interrupt reaches it.

    Args:
        function: What to call.
        name: Of the thread.

    Returns:
        What the function returns.
    """
    outcome: dict[str, Any] = {}

    def work() -> None:
        try:
            outcome["result"] = function()
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_SLICE_SECONDS)
    except BaseException as error:
        _interrupt(thread, type(error))
        raise
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


class ConfinedThread:
    """A thread that stays confined, and calls one function after the other.

    Args:
        writable: Folders (and files) that it may write; those that do not exist when it starts are
            left out.
    """

    def __init__(self, writable: Iterable[Path]) -> None:
        self._writable = tuple(writable)
        self._thread: threading.Thread | None = None
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()

    def call(self, function: Callable[[], Any]) -> Any:
        """Return what a function returns there; an interrupt of who waits reaches it."""
        if not landlock_version():
            return function()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="confined", daemon=True)
            self._thread.start()
        call = _Call(function)
        self._calls.put(call)
        try:
            while not call.is_done.wait(_SLICE_SECONDS):
                pass
        except BaseException as error:
            thread, self._thread = self._thread, None
            self._calls.put(None)
            _interrupt(thread, type(error))
            self._calls = queue.SimpleQueue()
            raise
        if call.error is not None:
            raise call.error
        return call.result

    def close(self) -> None:
        """Let the thread end."""
        if self._thread is not None:
            self._calls.put(None)
            self._thread.join(_GOODBYE_SECONDS)
            self._thread = None

    def _work(self) -> None:
        calls = self._calls
        is_confined = False
        # An interrupt may come when the call that it is meant for has just ended.
        with contextlib.suppress(KeyboardInterrupt):
            while (call := calls.get()) is not None:
                try:
                    if not is_confined:
                        _restrict([*self._writable, DEVICES])
                        is_confined = True
                    call.result = call.function()
                except BaseException as error:
                    call.error = error
                call.is_done.set()


class _Call:
    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_done = threading.Event()


def _interrupt(thread: threading.Thread, kind: type[BaseException]) -> None:
    """Raise in a thread what was raised in the one that waits for it, and let it clean up."""
    if thread.ident is not None:
        injected = ctypes.c_ulong(thread.ident), ctypes.py_object(kind)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(*injected)
    thread.join(_GOODBYE_SECONDS)


def _restrict(writable: Iterable[Path]) -> None:
    """Confine this thread, for good."""
    version = landlock_version()
    rights = _WRITE_FILE | _REMOVE_AND_MAKE
    rights |= _REFER if version >= _REFER_SINCE else 0
    rights |= _TRUNCATE if version >= _TRUNCATE_SINCE else 0
    attributes = struct.pack("Q", rights)
    rules = _checked(_syscall(_CREATE_RULESET, attributes, len(attributes), 0))
    try:
        for place in writable:
            if place.exists():
                _allow(rules, place, rights)
        _checked(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(_syscall(_RESTRICT_SELF, rules, 0))
    finally:
        os.close(rules)


def _allow(rules: int, place: Path, rights: int) -> None:
    of_files = _WRITE_FILE | _TRUNCATE
    descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        allowed = rights if place.is_dir() else rights & of_files
        rule = struct.pack("=Qi", allowed, descriptor)
        _checked(_syscall(_ADD_RULE, rules, _RULE_PATH_BENEATH, rule, 0))
    finally:
        os.close(descriptor)


def _syscall(number: int, *args: Any) -> int:
    return int(ctypes.CDLL(None, use_errno=True).syscall(number, *args))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock refused to confine a thread: {os.strerror(code)}")
    return result
