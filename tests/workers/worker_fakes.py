"""An evaluator that behaves as told by the candidate's values; picklable by reference."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from search.errors import ProjectError
from search.scenario.outcome import EvaluationRequest, Failure, Outcome
from search.system.scratch import create_scratch, remove_scratch

ONCE = {"fail once": "fail always", "die once": "die", "eat once": "eat"}
"""Deeds of a first attempt; the next one is fine."""
SECONDS = {"eat": 3600.0, "hang": 3600.0, "nap": 4.0}
"""How long these deeds take."""
DEMANDS = {"eat": 300 * 2**20, "allocate": 2**36}
"""Memory that these deeds take, in bytes; the second is more than a machine of tests has."""


@dataclass(frozen=True)
class FakeFactory:
    """Makes ``FakeEvaluator``.

    Attributes:
        folder: Where the evaluator notes what it was asked, one line a call.
        opening: ``fine``, ``refuse`` or ``die``.
    """

    folder: Path
    opening: str = "fine"

    def __call__(self) -> FakeEvaluator:
        return FakeEvaluator(self)


class FakeEvaluator:
    """Does what ``values["deed"]`` says; every deed is something that real ones do."""

    def __init__(self, factory: FakeFactory) -> None:
        self._factory = factory
        self._scratch: Path | None = None

    def open(self) -> None:
        if self._factory.opening == "refuse":
            raise ProjectError("the project must parse, but it does not")
        if self._factory.opening == "die":
            os._exit(7)
        self._scratch = create_scratch()

    def close(self) -> None:
        if self._scratch is not None:
            remove_scratch(self._scratch)
            self._scratch = None

    def evaluate(self, request: EvaluationRequest) -> Outcome:
        started_at, started = time.time(), time.perf_counter()
        with (self._factory.folder / f"trial-{request.trial}").open("a") as file:
            file.write(f"{request.attempt} {os.getpid()}\n")
        failure = self._do(str(request.values.get("deed", "square")), request)
        x = float(request.values["x"])
        return Outcome(
            request=request,
            metrics={} if failure else {"square": x * x},
            failure=failure,
            started_at=started_at,
            seconds=time.perf_counter() - started,
            worker=f"{socket.gethostname()}:{os.getpid()}",
        )

    def _do(self, deed: str, request: EvaluationRequest) -> Failure | None:
        if deed in ONCE:
            deed = ONCE[deed] if request.attempt == 1 else "square"
        if deed == "fail":
            return Failure(stage="step", message="the model does not compile")
        if deed == "fail always":
            return Failure(stage="workspace", message="no space", is_retryable=True)
        if deed == "raise":
            raise ValueError("a bug in the evaluator")
        if deed == "warn":
            logging.getLogger("search.fake").warning("x is large: %s", request.values["x"])
        if deed in DEMANDS:
            self._taken = b"x" * DEMANDS[deed]
        if deed in SECONDS:
            time.sleep(SECONDS[deed])
        if deed == "spin":
            while True:
                pass
        if deed == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if deed == "exit":
            os._exit(3)
        return None
