"""A driver killed at any moment: no acknowledged event is lost, the trail opens whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from search.audit.events import read_events
from search.audit.publish import publish
from search.audit.reader import AuditReader
from search.audit.schema import AuditTables

KILLS = 20

# Forks a driver for each line that it reads, since starting Python anew takes seconds.
NURSERY = """
import os, sys
from pathlib import Path
from datetime import UTC, datetime
from search.audit.events import EventLog, read_events
from search.audit.publish import publish
from search.audit.records import RunRecord, TrialParameter, TrialRecord
from search.audit.schema import AuditTables

folder = Path(sys.argv[1])

def drive(generation):
    acknowledged = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with EventLog(folder, study="pay", run_id=str(generation)) as log:
        while True:
            events = log.append_all([("trial_finished", {"trial": n}) for n in range(3)])
            events.append(log.append("iteration_completed"))
            for event in events:
                os.write(acknowledged, f"{event.sequence}\\n".encode())
            n = events[-1].sequence
            run = RunRecord(study="pay", run_id="r", started_at=datetime.now(UTC), trials=n)
            rows = [TrialRecord(study="pay", trial=i, state="complete") for i in range(n)]
            values = [
                TrialParameter(study="pay", trial=i, parameter="p", value=1.0, value_text="1.0",
                               value_type="float")
                for i in range(n)
            ]
            publish(folder, AuditTables(runs=[run], trials=rows, parameters=values,
                                        events=list(read_events(folder))))

for generation, line in enumerate(sys.stdin):
    child = os.fork()
    if child == 0:
        drive(generation)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


def wait_for_change(read: Callable[[Path], int], path: Path, before: int) -> None:
    deadline = time.monotonic() + 60
    while read(path) == before:
        assert time.monotonic() < deadline, f"the driver does not write {path}"
        time.sleep(0.002)


def length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def inode(path: Path) -> int:
    return path.stat().st_ino if path.exists() else 0


@pytest.mark.fault
def test_a_driver_killed_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(7)
    acknowledged = tmp_path / "acknowledged"
    database = tmp_path / "audit.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as nursery:
        assert nursery.stdin is not None and nursery.stdout is not None
        published = 0
        for turn in range(KILLS):
            acknowledged_bytes = length(acknowledged)
            published_file = inode(database)
            nursery.stdin.write("\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            wait_for_change(length, acknowledged, acknowledged_bytes)
            if turn % 4 == 0:
                wait_for_change(inode, database, published_file)
            time.sleep(chance.uniform(0.0, 0.3))
            os.kill(child, signal.SIGKILL)
            assert nursery.stdout.readline() == "gone\n"
            published = check(tmp_path, published)
        assert published > 0
    publish(tmp_path, AuditTables())
    assert list(tmp_path.rglob(".tmp-*")) == []


def check(folder: Path, published_before: int) -> int:
    """Check what a killed driver left; return how many trials are published."""
    sequences = [event.sequence for event in read_events(folder)]
    acknowledged = [int(line) for line in (folder / "acknowledged").read_text().splitlines()]
    assert sequences == list(range(1, len(sequences) + 1))
    assert len(set(acknowledged)) == len(acknowledged)
    assert set(acknowledged) <= set(sequences)
    if not (folder / "audit.duckdb").exists():
        return 0
    reader = AuditReader(folder)
    (run,) = reader.runs()
    assert run.trials is not None and run.trials >= published_before
    for table in ("search_trials", "trial_parameters", "trial_events"):
        assert reader.query(f"SELECT count(*) AS n FROM {table}") == [{"n": run.trials}]
    return run.trials
