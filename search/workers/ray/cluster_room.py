"""How many workers found a place in the cluster, and whether that is enough to go on."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from search.errors import WorkerError
from search.workers.contract import ClusterLimits
from search.workers.ray.actor import Identity

_logger = logging.getLogger(__name__)


class ClusterRoom:
    """The places that workers ask of Ray.

    A pool starts with the least number of workers that was asked for, and then goes on with what
    lost nodes leave; actors that wait for a place take it as soon as a node joins.

    Args:
        workers: How many places are asked for.
        needs: What each asks for, in Ray's words: ``num_cpus``, ``memory`` in bytes.
        limits: How workers spread over a cluster, if there is one.
    """

    def __init__(
        self, workers: int, needs: Mapping[str, Any], limits: ClusterLimits | None
    ) -> None:
        self.needs = needs
        self._workers = workers
        self._least = limits.min_workers or workers if limits else workers
        self._per_node = limits.workers_per_node if limits else None
        self._had_least = False
        self._told = workers

    def take(self, placed: Sequence[Identity], host: str) -> None:
        """Note that a worker found its place.

        Args:
            placed: Who has a place now, the new one as well.
            host: Where the new one is.

        Raises:
            WorkerError: If the node holds more workers than its memory is shared out for;
                names the node, and what to change.
        """
        self._had_least = self._had_least or len(placed) >= self._least
        crowd = Counter(identity.host for identity in placed)[host]
        if self._per_node is not None and crowd > self._per_node:
            raise WorkerError(
                f"a node may hold resources.workers_per_node = {self._per_node} workers, but Ray "
                f"placed {crowd} on {host}; raise it, which gives each less memory, or start "
                f"Ray there with --num-cpus={self._per_node * self.needs['num_cpus']}"
            )

    def is_enough(self, placed: int) -> bool:
        """Return whether the pool can work with those workers that have a place."""
        if placed < (1 if self._had_least else self._least):
            return False
        if placed != self._told:
            self._told = placed
            _logger.warning(
                "the cluster has room for %d of %d workers; the others join when there is more",
                placed,
                self._workers,
            )
        return True

    def late_message(self, seconds: float) -> str:
        """Return what is asked of Ray, what it has, and what to change.

        Args:
            seconds: How long the pool waited.
        """
        ray: Any = import_module("ray")

        total, free = ray.cluster_resources(), ray.available_resources()
        wanted = {"CPU": self.needs["num_cpus"], "memory": self.needs.get("memory")}
        asked = ", ".join(f"{name} {value}" for name, value in wanted.items() if value is not None)
        offered = ", ".join(
            f"{name} {free.get(name, 0):g} free of {total.get(name, 0):g}"
            for name, value in wanted.items()
            if value is not None
        )
        least = 1 if self._had_least else self._least
        many = f"{least} worker{'s' if least > 1 else ''}"
        return (
            f"Ray must place {many} within {seconds:g} s, but "
            f"{'one still waits' if least > 1 else 'it waits'}: each asks for {asked}; Ray has "
            f"{offered}; lower resources.workers, min_workers or threads_per_worker, or give Ray "
            "more nodes"
        )
