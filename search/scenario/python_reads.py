"""Files that are opened beside SQL while dbt works: Python models and plugins read data too.

Python tells its audit hooks of each file that is opened. A hook stays for the life of the process;
outside of an invocation it does nothing. What a library opens without Python, the kernel tells.
There is no event for a look at ``os.environ``, so its class tells while dbt works, where code of
the project looks: what libraries ask the environment for is theirs.

Source:
    https://docs.python.org/3/library/audit_events.html, event ``open``.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search.scenario.read_log import ReadLog
from search.system.opened import run_noticed

_CODE = frozenset({".py", ".pyc", ".so"})
"""Suffixes of programs, which Python also opens to show a line of them."""
_PROJECTS = frozenset({".sql", ".yml", ".yaml", ".md"})
"""Suffixes of what dbt opens to read the project."""
_PROGRAMS = tuple({sys.prefix, sys.base_prefix, sys.exec_prefix, "/usr", "/etc", "/lib"})
_COOKIE = ".user.yml"
_BETWEEN = (os.getenv.__code__.co_filename, Mapping.get.__code__.co_filename)
"""Where ``os.getenv`` and ``os.environ.get`` are written."""
_OURS = str(Path(__file__).parents[1])
_ENVIRON: Any = type(os.environ)
_look_up = _ENVIRON.__getitem__
_listening: list[ReadLog] = []
_is_hooked = False


@contextmanager
def noticing_python(log: ReadLog) -> Iterator[None]:
    """Notice the data files that Python opens for reading in the block, in any thread."""
    global _is_hooked
    if not _is_hooked:
        sys.addaudithook(_on_event)
        _ENVIRON.__getitem__ = _looked_up
        _is_hooked = True
    _listening.append(log)
    try:
        yield
    finally:
        _listening.remove(log)


def _on_event(event: str, args: tuple[Any, ...]) -> None:
    if not _listening:
        return
    if event == "open":
        path, mode, flags = args
        if isinstance(path, str | os.PathLike) and not _writes(mode, flags):
            for log in tuple(_listening):
                _take(os.fspath(path), log)
    elif event == "socket.connect" and isinstance(args[1], tuple):
        for log in tuple(_listening):
            log.files.add(f"tcp://{args[1][0]}:{args[1][1]}")


def _looked_up(environ: Any, name: str) -> Any:
    """Look a variable up in place of ``os.environ``, and notice it."""
    if _listening and environ is os.environ and _is_asked_by_project():
        for log in tuple(_listening):
            log.env.add(name)
    return _look_up(environ, name)


def _is_asked_by_project() -> bool:
    """Whether code that is neither a library's nor ours looks at the environment."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename in _BETWEEN:
        if frame.f_code.co_name == "copy":
            return False  # for a program that is started with the same variables
        frame = frame.f_back  # type: ignore[assignment]
    place = "" if frame is None else frame.f_code.co_filename
    return not place.startswith((*_PROGRAMS, _OURS, "<frozen"))


def _take(path: str | bytes, log: ReadLog) -> None:
    place = Path(os.path.normpath(log.folder / os.fsdecode(path)))
    if _is_data(place, log):
        log.files.add(str(place))


def run_noticing_all(function: Callable[[], Any], log: ReadLog, who: str) -> Any:
    """Call a function, and notice the data files that libraries open in it as well.

    Args:
        function: What to call.
        log: Takes them.
        who: Whose function it is, for people, where nobody can tell what it opens.

    Returns:
        What the function returns.
    """
    result, opened = run_noticed(function)
    if opened is None:
        log.unseen.add(who)
    for place_opened in opened or ():
        place = Path(os.path.normpath(log.folder / place_opened.path))
        if not place_opened.is_folder:
            _take(place_opened.path, log)
        elif _is_data(place, log):
            log.texts.add(f"{glob.escape(str(place))}/*")
    return result


def _writes(mode: str | None, flags: int | None) -> bool:
    if mode is not None:
        return any(letter in mode for letter in "wax+")
    return bool((flags or 0) & (os.O_WRONLY | os.O_RDWR))


def _is_data(place: Path, log: ReadLog) -> bool:
    is_program = place.suffix in _CODE or str(place).startswith(_PROGRAMS)
    if is_program or place.name == _COOKIE:
        return False
    return not (place.suffix in _PROJECTS and place.is_relative_to(log.folder))
