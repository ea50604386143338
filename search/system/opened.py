"""Notices which files a function opens, by whatever library: the kernel says it.

A library that is not written in Python (Arrow, Polars, another DuckDB) opens files without telling
anybody. A filter of system calls, which needs no privilege, holds each ``open`` of the function's
thread, of the threads and of the programs that it starts until a process of ours has seen its path.
It is a process because the thread may hold Python's lock while it waits.

Threads that a library or a pool of Python's had before (in a notebook that used Arrow already) have
no filter.
The kernel could give them one, but for good, and the user's process could never call ``sudo``
again. So they are counted instead: where one of them was at work meanwhile, nobody can tell what
it opened.

Source:
    https://man7.org/linux/man-pages/man2/seccomp_unotify.2.html
    https://docs.kernel.org/filesystems/proc.html, ``Seccomp_filters`` and ``ctxt_switches``
"""

from __future__ import annotations

import array
import concurrent.futures.thread
import contextlib
import ctypes
import errno
import multiprocessing.pool
import os
import platform
import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from search.system.confinement import in_thread
from search.system.portable import is_portable

_SECCOMP = {"x86_64": 317, "aarch64": 277}
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_OPENS = {"x86_64": (2, 257, 437), "aarch64": (56, 437)}
"""Numbers of ``open`` (where it exists), ``openat`` and ``openat2``."""
_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3
_NO_NEW_PRIVS = 38
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_TASKS = Path("/proc/self/task")
_COUNT = re.compile(r"^Seccomp_filters:\s*(\d+)", re.MULTILINE)
_SWITCHES = re.compile(r"ctxt_switches:\s*(\d+)")
_WORKERS = frozenset(
    {("_worker", concurrent.futures.thread.__file__), ("worker", multiprocessing.pool.__file__)}
)
"""Where the threads of Python's pools wait."""

_WATCHER = r"""
import array, fcntl, os, select, socket, struct, sys
RECEIVE, SEND, CONTINUE = 0xC0502100, 0xC0182101, 1
OPEN, OPENAT2, HERE = int(sys.argv[2]), 437, -100
WRITES, DIRECTORY = os.O_WRONLY, os.O_DIRECTORY
owner = socket.socket(fileno=int(sys.argv[1]))
poll = select.poll()
poll.register(owner, select.POLLIN)
seen, listeners, is_owned = {}, set(), True

def memory(pid, place, length):
    with open(f"/proc/{pid}/mem", "rb", 0) as whole:
        whole.seek(place)
        return whole.read(length)

def text(pid, place):
    # A path may end right before memory that nobody has.
    read = b""
    while b"\0" not in read and len(read) < 4096:
        read += memory(pid, place + len(read), 4096 - (place + len(read)) % 4096)
    return read.split(b"\0")[0]

def note(pid, number, args):
    folder, place, flags = (HERE, args[0], args[1]) if number == OPEN else args[:3]
    if number == OPENAT2:
        flags = struct.unpack("=Q", memory(pid, args[2], 8))[0]
    if flags & os.O_ACCMODE == WRITES:
        return
    path = text(pid, place)
    if not path.startswith(b"/"):
        folder = struct.unpack("=i", struct.pack("=I", folder & 0xFFFFFFFF))[0]
        base = f"/proc/{pid}/cwd" if folder == HERE else f"/proc/{pid}/fd/{folder}"
        path = os.path.join(os.readlink(base).encode(), path)
    seen[bool(flags & DIRECTORY), path] = None

while True:
    for descriptor, event in poll.poll():
        if descriptor == owner.fileno():
            asked, given, _, _ = owner.recvmsg(1, socket.CMSG_SPACE(4))
            if not asked:
                poll.unregister(owner)
                is_owned = False
            elif asked == b"l":
                handles = array.array("i")
                handles.frombytes(given[0][2][:4])
                poll.register(handles[0], select.POLLIN)
                listeners.add(handles[0])
                owner.sendall(b"k")
            else:
                told = b"\0".join(b"%d%s" % key for key in seen)
                seen.clear()
                owner.sendall(struct.pack("=Q", len(told)) + told)
        elif event & select.POLLIN:
            call = bytearray(80)
            try:
                fcntl.ioctl(descriptor, RECEIVE, call)
            except OSError:
                continue
            number, pid, _, what, _, _, *args = struct.unpack("=QIIiIQ6Q", bytes(call))
            try:
                note(pid, what, args)
            except (OSError, ValueError, struct.error):
                seen[2, b"?"] = None
            try:
                reply = struct.pack("=QqiI", number, 0, 0, CONTINUE)
                fcntl.ioctl(descriptor, SEND, bytearray(reply))
            except OSError:
                pass
        else:
            poll.unregister(descriptor)
            os.close(descriptor)
            listeners.discard(descriptor)
    if not is_owned and not listeners:  # a program that a function started may live on
        break
"""


@dataclass(frozen=True)
class Opened:
    """Something that was opened for reading.

    Attributes:
        path: Its path, absolute unless the kernel could not say.
        is_folder: Whether it was opened as a folder, to be listed.
    """

    path: str
    is_folder: bool


class OpenWatch:
    """The process that sees what is opened; one for the life of this process.

    Threads that a library keeps are watched as long as they live, so it outlives each function.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._filters: int | None = None
        self._own, theirs = socket.socketpair()
        number = str(_OPENS[platform.machine()][0]) if platform.machine() == "x86_64" else "-1"
        with theirs:
            subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _WATCHER, str(theirs.fileno()), number],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt of the terminal must not end it first
            )

    def watch_this_thread(self) -> None:
        """Let the kernel hold each ``open`` of this thread until it was seen, for good.

        Raises:
            OSError: If the kernel does not offer that.
        """
        before = _filters(Path("/proc/thread-self/status").read_text())
        program = ctypes.create_string_buffer(_filter(platform.machine()))
        code = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(program))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
        call = _SECCOMP[platform.machine()]
        listener = libc.syscall(call, _SET_MODE_FILTER, _NEW_LISTENER, ctypes.c_char_p(code))
        if listener < 0:
            if ctypes.get_errno() == errno.EBUSY and self._filters is not None:
                return  # whoever started this thread is watched, and so is it
            raise OSError(ctypes.get_errno(), "the kernel tells nobody what is opened")
        given = array.array("i", [listener]).tobytes()
        self._own.sendmsg([b"l"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, given)])
        self._own.recv(1)
        os.close(listener)
        self._filters = before if self._filters is None else self._filters

    def loose_threads(self, caller: int) -> dict[int, str]:
        """Return threads that were there before, each with how often it was at work.

        Of Python's own only those of a pool count, which take work from whoever has some: what it
        opens by a library, nobody tells. The others do what they always did.

        Args:
            caller: The thread that waits meanwhile, by its native id.
        """
        frames = sys._current_frames()
        own = {
            thread.native_id
            for thread in threading.enumerate()
            if not _is_of_pool(frames.get(thread.ident or 0))
        }
        known = own | _that_tell | {caller}
        loose = {}
        for task in _TASKS.iterdir():
            with contextlib.suppress(OSError):  # it may end meanwhile
                status = (task / "status").read_text()
                if int(task.name) not in known and _filters(status) <= (self._filters or 0):
                    loose[int(task.name)] = " ".join(_SWITCHES.findall(status))
        return loose

    def take(self) -> list[Opened] | None:
        """Return what was opened since the last time, each once; None where a path was not seen."""
        self._own.sendall(b"g")
        (length,) = struct.unpack("=Q", self._received(8))
        told = self._received(length)
        paths = [part for part in told.split(b"\0") if part]
        if b"2?" in paths:
            return None
        return [Opened(os.fsdecode(path[1:]), path[:1] == b"1") for path in paths]

    def _received(self, length: int) -> bytes:
        parts = []
        while length:
            part = self._own.recv(min(length, 2**20))
            if not part:
                raise OSError("the process that sees what is opened is gone")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


_watch: OpenWatch | None = None
_knows_threads = False
_that_tell: frozenset[int] = frozenset()
_lock = threading.Lock()


def start_watching() -> OpenWatch | None:
    """Start the process that sees what is opened, once; None where the kernel does not tell.

    To be called before a thread is confined: what a confined thread starts belongs to its Landlock
    domain, from where the kernel shows nothing of a thread in another.

    Source:
        https://docs.kernel.org/userspace-api/landlock.html#ptrace-restrictions
    """
    global _watch
    if platform.machine() not in _SECCOMP or is_portable():
        return None
    with _lock:
        if _watch is None or _watch.pid != os.getpid():
            _watch = OpenWatch()
    return _watch


def trust_threads() -> None:
    """Say that no thread of this process so far reads files for whoever uses a library.

    For a process that was started to evaluate: what a model uses there begins in a watched thread,
    and other threads are at work at any time (Ray's, DuckDB's, which give memory back).
    """
    global _knows_threads
    _knows_threads = True


@contextlib.contextmanager
def threads_that_tell() -> Iterator[None]:
    """Say that the threads which begin in the block tell what they open in another way.

    For DuckDB, which has a log; its threads are at work at times when nobody asks for anything.
    """
    global _that_tell
    if not _TASKS.is_dir():
        yield
        return
    before = {int(task.name) for task in _TASKS.iterdir()}
    yield
    _that_tell = frozenset(int(task.name) for task in _TASKS.iterdir()) - before


def run_noticed(function: Callable[[], Any]) -> tuple[Any, Sequence[Opened] | None]:
    """Call a function in a thread of its own, and say what it opened for reading.

    Args:
        function: What to call.

    Returns:
        What the function returns, and what was opened, in order; None instead where the kernel
        does not tell, or where threads that nobody watches were at work.
    """
    watch, is_watched = start_watching(), True
    if watch is None:
        return function(), None
    loose: dict[int, str] = {}
    caller = threading.get_native_id()

    def work() -> Any:
        nonlocal is_watched
        try:
            watch.watch_this_thread()
        except OSError:
            is_watched = False
        loose.update(watch.loose_threads(caller))
        return function()

    watch.take()
    result = in_thread(work, "watched")
    is_watched = is_watched and (_knows_threads or watch.loose_threads(caller) == loose)
    return result, watch.take() if is_watched else None


def _is_of_pool(frame: FrameType | None) -> bool:
    """Whether a thread of Python's waits for work, or does some, in a pool."""
    while frame is not None:
        code = frame.f_code
        if (code.co_name, code.co_filename) in _WORKERS:
            return True
        frame = frame.f_back
    return False


def _filters(status: str) -> int:
    """Return how many filters of system calls a thread has; 0 where the kernel does not say."""
    counted = _COUNT.search(status)
    return int(counted[1]) if counted else 0


def _filter(machine: str) -> bytes:
    """Return the filter: opens are told, all else passes."""
    opens = _OPENS[machine]
    steps = [
        (_LOAD, 0, 0, 4),  # of struct seccomp_data: the architecture
        (_JUMP_IF_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, 0),  # the call's number
        *((_JUMP_IF_EQUAL, len(opens) - i, 0, number) for i, number in enumerate(opens)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _NOTIFY),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
