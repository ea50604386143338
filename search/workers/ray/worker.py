"""The driver's view of one worker: what it does, since when, and how it is ended."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from search.scenario.outcome import Failure, Outcome
from search.system import process_start
from search.workers.contract import Ticket
from search.workers.ray.actor import Identity, Note


@dataclass(eq=False)
class Worker:
    """One actor, as the driver knows it.

    Attributes:
        actor: Ray's handle.
        call: The call that runs: ``hello``, ``open`` or ``evaluate``; None when idle.
        phase: The name of that call, or ``idle``.
        deadline: When the call must have ended, in ``time.monotonic`` seconds, or None.
        ticket: What it evaluates.
        identity: Who it is, once it said hello.
        began_at: When the evaluation was sent, seconds since the epoch.
        began: The same in ``time.monotonic`` seconds.
    """

    actor: Any
    call: Future[Any] | None = None
    phase: str = "idle"
    deadline: float | None = None
    ticket: Ticket | None = None
    identity: Identity | None = None
    began_at: float = 0.0
    began: float = 0.0

    def release(self) -> Ticket:
        """Return what it evaluated; it is idle now."""
        ticket, self.ticket = self.ticket, None
        self.phase, self.deadline = "idle", None
        assert ticket is not None
        return ticket

    def failed(self, ticket: Ticket, failure: Failure) -> Outcome:
        """Return the outcome of an evaluation that it did not bring to an end."""
        return Outcome(
            request=ticket.request,
            failure=failure,
            started_at=self.began_at,
            seconds=time.monotonic() - self.began,
            worker=self.identity.name if self.identity else "",
        )

    def forward(self, notes: list[Note]) -> None:
        """Log here what it logged there."""
        name = self.identity.name if self.identity else "worker"
        for note in notes:
            logging.getLogger(note.logger).log(note.level, "[%s] %s", name, note.message)

    def kill(self, *, is_ray_broken: bool, is_here: bool) -> None:
        """End its actor, and its very process when that runs on this machine.

        Args:
            is_ray_broken: Whether calls to Ray would block.
            is_here: Whether it runs on this machine for certain.
        """
        import ray

        self.call = None  # what it still answers is of no interest
        if not is_ray_broken:
            with suppress(Exception):  # a dead actor is dead enough
                ray.kill(self.actor, no_restart=True)
        if is_here and self.identity is not None:
            with suppress(psutil.Error):
                if process_start.started(self.identity.pid) == self.identity.started:
                    psutil.Process(self.identity.pid).kill()
