"""Runs functions in a process of their own.

dbt changes the working directory, grows with every parse and may hang; none of that
may happen to the driver. The child is a fresh interpreter, dies with its parent, and
answers over a pipe of its own, so that nothing printed can be mistaken for the answer.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from search.errors import SearchError, WorkerError
from search.system import interrupt
from search.system.opened import trust_threads
from search.system.patience import TOLD_EVERY_SECONDS, Patience, Place, Stay
from search.system.portable import end_with_parent, is_portable

_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 5.0
_HURRIED_SECONDS = 1.0
_CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
"""What a process sends itself, or gets from the kernel for a fault of its own."""
_LEAKS = "nanobind: leaked"
"""Begins what DuckDB's bindings say of themselves when a process ends by an error: no reason."""
_OURS = Path(__file__).parents[1]

_SLICE_SECONDS = 0.5
"""The longest single wait: an exception that another thread injects must arrive."""

Report = Callable[[str], None]
"""Takes a line of progress for a person."""


class ChildProcess:
    """A fresh interpreter that answers one call after another. A context manager.

    Calls that need dbt share its import and what it keeps of a project's texts.

    Args:
        env: Environment variables on top of this process's.
        is_stderr_shared: Whether the child writes to this process's stderr: for a child that
            writes much. Else its last words are part of the error when it dies.
        stop_seconds: How long the child gets to end when it is at work while it is left.
        patience: How long it may stay at one thing; without end when None.
    """

    def __init__(
        self,
        *,
        env: dict[str, str] | None = None,
        is_stderr_shared: bool = False,
        stop_seconds: float = _STOP_SECONDS,
        patience: Patience | None = None,
    ) -> None:
        self._env = os.environ | (env or {})
        self.patience = patience
        self._is_stderr_shared = is_stderr_shared
        self._stop_seconds = stop_seconds

    def __enter__(self) -> Self:
        request_read, request_write = os.pipe()
        answer_read, answer_write = os.pipe()
        code = f"from search.system.child import serve; serve({request_read}, {answer_write})"
        self._process = subprocess.Popen(
            # Safe path: a file of the working folder called random.py is none of ours.
            [sys.executable, "-P", "-c", code],
            pass_fds=(request_read, answer_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if self._is_stderr_shared else subprocess.PIPE,
            env=self._env,
            start_new_session=True,  # Ctrl-C reaches the driver alone, which ends the child
        )
        os.close(request_read)
        os.close(answer_write)
        self._requests = Connection(request_write, readable=False)
        self._answers = Connection(answer_read, writable=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._requests.close()
        self._answers.close()
        _end(self._process, self._stop_seconds)

    @property
    def is_alive(self) -> bool:
        """Whether it can be called still."""
        return self._process.poll() is None

    def call(
        self,
        function: Callable[..., Any],
        *args: Any,
        report: Callable[[Any], None],
        stop: threading.Event | None = None,
    ) -> Any:
        """Call ``function(*args, report=...)`` in the child and return what it returns.

        Args:
            function: A module-level function; it and its arguments travel by pickle.
            *args: Its arguments.
            report: Called here with whatever the child reports, most often a line of progress.
            stop: Set by another thread, it ends this call; the child is still at work then,
                and to be left.

        Raises:
            SearchError: Whatever the function raised, ``WorkerError`` if the child died, or what
                ``patience`` says of one that does not get on; that one is to be left.
        """
        place = self.patience.place if self.patience else None
        with contextlib.suppress(BrokenPipeError):  # of a child that died: the answer says how
            self._requests.send(_safe_path())  # first: what follows may need it to be unpickled
            self._requests.send((function, args, place))
        stay = Stay(self.patience)
        return _await_answer(self._answers, self._process, report, stop or threading.Event(), stay)


def run_in_child(
    function: Callable[..., Any],
    *args: Any,
    report: Callable[[Any], None],
    env: dict[str, str] | None = None,
    is_stderr_shared: bool = False,
    stop_seconds: float = _STOP_SECONDS,
    stop: threading.Event | None = None,
    patience: Patience | None = None,
) -> Any:
    """Make one call in a ``ChildProcess`` of its own, and return what it returns.

    Raises:
        SearchError: Whatever the function raised, or ``WorkerError`` if the child died.
    """
    with ChildProcess(
        env=env, is_stderr_shared=is_stderr_shared, stop_seconds=stop_seconds, patience=patience
    ) as child:
        return child.call(function, *args, report=report, stop=stop)


def _safe_path() -> list[str]:
    """Return where this process finds modules, without the working folder.

    Python puts that first for ``python -c``, ``-m`` and an interactive session, as an empty
    text or by its name; it stays when it is named by ``PYTHONPATH``.
    """
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    own = {"", os.getcwd()} - {place for place in named if place}
    return [place for place in sys.path if place not in own]


def _await_answer(
    answers: Connection,
    process: subprocess.Popen[bytes],
    report: Callable[[Any], None],
    stop: threading.Event,
    stay: Stay,
) -> Any:
    while True:
        interrupt.check()
        while not answers.poll(_SLICE_SECONDS):
            interrupt.check()
            stay.check()
            if stop.is_set():
                raise WorkerError("a helper process was stopped, because it is not needed any more")
        try:
            kind, value = answers.recv()
        except EOFError:
            raise WorkerError(_death(process, stay.at)) from None
        if kind == "place":
            stay.is_at(value)
            stay.check()
        elif kind == "progress":
            stay.gets_on()
            report(value)
        elif kind == "error":
            raise value
        else:
            return value


def _death(process: subprocess.Popen[bytes], at: str | None) -> str:
    """Return what is known of a helper process that died."""
    words = ""
    if process.stderr is not None:
        said = process.stderr.read().decode("utf-8", "replace")
        words = said.partition(_LEAKS)[0].strip()[-2000:]
    code = process.wait()
    return (
        f"a helper process ended with code {code} before it answered"
        + (f", while it was at {at}" if at else "")
        + (f"; its last words: {words}" if words else "")
        + (_advice(code, at) if code < 0 else "")
    )


def _advice(code: int, at: str | None) -> str:
    """Return what to do about a process that a signal ended."""
    number = signal.Signals(-code)
    if number == signal.SIGKILL:
        return (
            " (killed by SIGKILL; when that was the system short of memory, lower "
            "resources.memory_budget or give it fewer people)"
        )
    if number in _CRASHES:
        return (
            f" (it crashed: {number.name}; that is a fault of DuckDB, of an extension or of a "
            f"Python model, not of memory: run {at or 'what it was at'} alone by dbt to see it)"
        )
    return f" (ended by {number.name} from outside)"


def _end(process: subprocess.Popen[bytes], stop_seconds: float) -> None:
    if process.poll() is None:
        process.terminate()
        if interrupt.is_requested():  # it has nothing to save, and who interrupts does not wait
            stop_seconds = min(stop_seconds, _HURRIED_SECONDS)
        try:
            process.wait(stop_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stderr is not None:
        process.stderr.close()


def serve(request_fd: int, answer_fd: int) -> None:
    """Be the child: answer one call after another, until no more can come."""
    die_with_parent()
    trust_threads()
    # Told to stop, it leaves through every `finally` on the way.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with (
        Connection(request_fd, writable=False) as requests,
        Connection(answer_fd, readable=False) as answers,
    ):
        while True:
            try:
                sys.path[:] = requests.recv()
                function, args, place = requests.recv()
            except EOFError:
                return
            _answer(function, args, place, answers)


def _answer(
    function: Callable[..., Any], args: Sequence[Any], place: Place | None, answers: Connection
) -> None:
    """Make a call, and send back how it goes and what came of it."""
    mouth = _Mouth(answers)
    with mouth.telling(place):
        try:
            kind, value = "result", function(*args, report=mouth.report)
        except SearchError as error:
            kind, value = "error", error
        except Exception as error:
            if os.environ.get("SCENARIO_SEARCH_TRACEBACK"):
                raise
            kind, value = "error", WorkerError(_unexpected(error))
    mouth.say(kind, value)


def _unexpected(error: Exception) -> str:
    return (
        f"unexpected {type(error).__name__}{where_raised(error)} in a helper process: {error} "
        "(set SCENARIO_SEARCH_TRACEBACK=1 to see all of it)"
    )


def where_raised(error: Exception) -> str:
    """Return in which function of ours an error came up, as a phrase; empty when unknown."""
    steps = traceback.extract_tb(error.__traceback__)
    ours = [step for step in steps if _OURS in Path(step.filename).parents] or steps
    return f" in {Path(ours[-1].filename).stem}.{ours[-1].name}" if ours else ""


class _Mouth:
    """Says one thing at a time, from whatever thread."""

    def __init__(self, answers: Connection) -> None:
        self._answers = answers
        self._lock = threading.Lock()

    def say(self, kind: str, value: Any) -> None:
        with self._lock:
            self._answers.send((kind, value))

    def report(self, line: Any) -> None:
        self.say("progress", line)

    @contextlib.contextmanager
    def telling(self, place: Place | None) -> Iterator[None]:
        """Tell once a second what this process is at, until the block ends."""
        if place is None:
            yield
            return
        is_over = threading.Event()

        def tell() -> None:
            while not is_over.wait(TOLD_EVERY_SECONDS):
                with contextlib.suppress(
                    OSError
                ):  # the driver is gone, and so is this process soon
                    self.say("place", place())

        teller = threading.Thread(target=tell, name="tells its place", daemon=True)
        teller.start()
        try:
            yield
        finally:
            is_over.set()
            teller.join()


def die_with_parent() -> None:
    """End this process when its parent dies, also by SIGKILL: on Linux the kernel sees to it."""
    parent = os.getppid()
    if is_portable():
        end_with_parent(parent)
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
