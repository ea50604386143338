"""A call that another process answers while this one goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

from search.errors import SearchError
from search.system import interrupt
from search.system.child import run_in_child
from search.system.patience import Patience

Answer = TypeVar("Answer")


class Ahead(Generic[Answer]):
    """Calls a function in a process of its own. A context manager; leaving it early ends that.

    dbt cannot run twice in one process at the same time, so another one is needed.

    Args:
        function: Called with ``report`` beside its arguments, which nobody listens to; all
            travel by pickle.
        *arguments: Its arguments.
        patience: How long the process may stay at one thing; without end when None.
    """

    def __init__(
        self, function: Callable[..., Answer], *arguments: Any, patience: Patience | None = None
    ) -> None:
        self._function = function
        self._arguments = arguments
        self._patience = patience
        self._stop = threading.Event()
        self._answer: list[Answer] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._call, name=f"{function.__name__} ahead")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def is_at_work(self) -> bool:
        """Whether the answer is still to come."""
        return self._thread.is_alive()

    def result(self) -> Answer:
        """Wait for the answer.

        Raises:
            SearchError: Whatever the function raised, or ``WorkerError`` if its process died.
        """
        interrupt.wait_for(self._thread)
        if self._error is not None:
            raise self._error
        return self._answer[0]

    def _call(self) -> None:
        try:
            answer = run_in_child(
                self._function,
                *self._arguments,
                report=lambda _: None,
                stop=self._stop,
                patience=self._patience,
            )
            self._answer.append(answer)
        except (SearchError, KeyboardInterrupt) as error:
            self._error = error  # whoever asks for the answer gets it
