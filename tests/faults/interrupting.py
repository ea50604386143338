"""Raises an exception at the n-th step of a call: at any byte code of chosen modules."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class _Interrupter:
    def __init__(self, step: int, modules: tuple[str, ...], error: type[BaseException]) -> None:
        self._left = step
        self._modules = modules
        self._error = error
        self.is_done = False

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith(self._modules):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and not self.is_done:
            self._left -= 1
            if self._left == 0:
                self.is_done = True
                sys.settrace(None)
                raise self._error
        return self


def interrupted_at(
    step: int,
    call: Callable[[], Any],
    modules: tuple[str, ...],
    error: type[BaseException] = KeyboardInterrupt,
) -> bool:
    """Make a call and raise at its n-th byte code; return whether the call was that long.

    Args:
        step: Counts from 1, over the byte codes of the modules alone.
        call: What is interrupted.
        modules: Beginnings of the names of the modules whose byte codes count.
        error: What is raised.
    """
    interrupter = _Interrupter(step, modules, error)
    before = sys.gettrace()
    sys.settrace(interrupter)
    try:
        call()
    except error:
        if not interrupter.is_done:
            raise
    finally:
        sys.settrace(before)
    return interrupter.is_done
