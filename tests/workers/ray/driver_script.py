"""A driver in a process of its own, for tests that kill it: keeps both workers hanging.

Writes one JSON line when both evaluate; ends in order on SIGTERM or at the end of stdin.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from worker_fakes import FakeFactory

from search.scenario.outcome import EvaluationRequest
from search.workers.ray.ray_pool import RayPool


def stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(folder: Path) -> None:
    signal.signal(signal.SIGTERM, stop)
    with RayPool(workers=2) as pool:
        pool.open(FakeFactory(folder))
        for trial in range(2):
            pool.submit(EvaluationRequest(trial=trial, values={"x": 1.0, "deed": "hang"}))
        while len(list(folder.glob("trial-*"))) < 2:
            pool.next_outcome(0.1)
        import ray

        address = ray.get_runtime_context().gcs_address
        status = {"folder": str(pool._host.folder), "nodes": len(ray.nodes()), "address": address}
        sys.stdout.write(json.dumps(status) + "\n")
        sys.stdout.flush()
        gone = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), gone.set()), daemon=True).start()
        while not gone.is_set():
            pool.next_outcome(0.2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
